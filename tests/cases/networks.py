"""Small networks, each with seeded weights and inputs: those that certificates cover, and others.

Weights are drawn here from an own generator, for the global one stays untouched.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from netdistance.networks.load import Network, State

Forward = Callable[[nn.ModuleDict, Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """An architecture, and the shape of one input."""

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    operator: str = ""  # what a skipped certificate has to name

    def network(self) -> Network:
        """The architecture in eval mode, on the CPU."""
        module = self.build().eval().requires_grad_(False)
        return Network(module, self.name, torch.device("cpu"))

    def state(
        self, network: Network, seed: int, dtype: torch.dtype = torch.float32
    ) -> dict[str, Tensor]:
        """Gaussian weights of about unit gain and small biases; tied names hold equal values."""
        generator = torch.Generator().manual_seed(seed)
        ties, drawn = network.ties, dict[str, Tensor]()
        for name, own in network.module.state_dict().items():
            first = ties.get(name, name)
            draw = torch.randn(own.shape, generator=generator, dtype=torch.float64)
            scale = math.sqrt(1.5 / max(1, math.prod(own.shape[1:]))) if own.ndim > 1 else 0.2
            floats = own.is_floating_point()
            draw = draw * scale if not name.endswith("running_var") else draw.abs() + 0.3
            drawn.setdefault(first, draw.to(dtype) if floats else own)
        return {name: drawn[ties.get(name, name)] for name in network.module.state_dict()}

    def inputs(self, seed: int, count: int = 3, dtype: torch.dtype = torch.float32) -> Tensor:
        """Gaussian inputs of very different sizes, (count, *shape)."""
        generator = torch.Generator().manual_seed(1000 + seed)
        draw = torch.randn((count, *self.shape), generator=generator, dtype=torch.float64)
        sizes = torch.logspace(0, -2, count, dtype=torch.float64)
        return (draw * sizes.view(-1, *[1] * len(self.shape))).to(dtype)


def in_dtype(state: State, dtype: torch.dtype) -> dict[str, Tensor]:
    """The state with its floating-point tensors in another dtype."""
    return {n: t.to(dtype) if t.is_floating_point() else t for n, t in state.items()}


class Composed(nn.Module):
    """Named layers, and a forward that uses them."""

    def __init__(self, forward: Forward, **layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.run = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self.layers, x)


def composed(forward: Forward, **layers: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """A builder of a `Composed` network."""
    return lambda: Composed(forward, **{name: make() for name, make in layers.items()})


def mlp(*widths: int, bias: bool = True, relu: bool = True) -> Callable[[], nn.Module]:
    """A builder of Linear layers with ReLU between them."""

    def build() -> nn.Module:
        layers: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out, bias=bias)] + [nn.ReLU()] * relu
        return nn.Sequential(*layers[: len(layers) - relu])

    return build


def sequential(*layers: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """A builder of a Sequential."""
    return lambda: nn.Sequential(*(make() for make in layers))


def conv2d(first: Callable[[], nn.Module], features: int) -> Callable[[], nn.Module]:
    """A builder of a convolution of 6 x 5 images with a linear head."""
    return sequential(first, nn.ReLU, nn.Flatten, lambda: nn.Linear(features, 3))


def _linear(fan_in: int = 5, fan_out: int = 5, bias: bool = True) -> Callable[[], nn.Module]:
    return lambda: nn.Linear(fan_in, fan_out, bias=bias)


def _in_place_twice(m: nn.ModuleDict, x: Tensor) -> Tensor:
    relu = m["relu"]
    h = relu(m["first"](x))
    out: Tensor = relu(h + m["third"](relu(m["second"](h))))
    return out


def _plus_equals(m: nn.ModuleDict, x: Tensor) -> Tensor:
    h = m["second"](functional.relu(m["first"](x)))
    h += x
    out: Tensor = m["third"](functional.relu_(h))
    return out


def _viewed(m: nn.ModuleDict, x: Tensor) -> Tensor:
    h = functional.relu(m["conv"](x))
    out: Tensor = m["head"](h.view(h.size(0), -1))
    return out


def _conv_residual(m: nn.ModuleDict, x: Tensor) -> Tensor:
    h = torch.relu(m["stem"](x))
    h = torch.relu(torch.add(h, m["branch"](h)))
    out: Tensor = m["head"](h.reshape(h.shape[0], h.shape[1] * 30))
    return out


def _shared_parameter() -> nn.Module:
    first, second = nn.Linear(5, 5), nn.Linear(5, 5)
    second.weight = first.weight
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Linear(5, 2))


def _shared_module() -> nn.Module:
    layer = nn.Linear(5, 5)
    return nn.Sequential(layer, nn.ReLU(), layer, nn.ReLU(), layer)


def _shared_convolution() -> nn.Module:
    first, second = nn.Conv1d(2, 2, 3, padding=1), nn.Conv1d(2, 2, 3, padding=1, stride=2)
    second.weight, second.bias = first.weight, first.bias
    return nn.Sequential(first, nn.ReLU(), second, nn.Flatten(), nn.Linear(8, 2))


SUPPORTED: tuple[Case, ...] = (
    Case("single", mlp(6, 4), (6,)),
    Case("single without bias", mlp(6, 4, bias=False), (6,)),
    Case("one number", mlp(1, 1, bias=False), (1,)),
    Case("two layers", mlp(6, 8, 3), (6,)),
    Case("deep", mlp(5, 8, 8, 8, 8, 3), (5,)),
    Case("deep without bias", mlp(5, 16, 16, 16, 3, bias=False), (5,)),
    Case("deep linear", mlp(5, 6, 6, 4, relu=False), (5,)),
    Case("rows", mlp(5, 6, 3), (4, 5)),
    Case("rows of rows", mlp(3, 4, 2), (2, 2, 3)),
    Case("dropout and identity", sequential(_linear(), nn.Dropout, nn.ReLU, nn.Identity, _linear()),
         (5,)),
    Case("functional", composed(lambda m, x: m["b"](functional.relu(m["a"](x)) + 0.5),
                                a=_linear(5, 7), b=_linear(7, 3)), (5,)),
    Case("residual", composed(lambda m, x: x + torch.relu(m["a"](x)), a=_linear()), (5,)),
    Case("doubled", composed(lambda m, x: (h := m["a"](x)) + h, a=_linear()), (5,)),
    Case("residual with one in-place relu", composed(
        _in_place_twice, first=_linear(), second=_linear(), third=_linear(),
        relu=lambda: nn.ReLU(inplace=True)), (5,)),
    Case("residual with +=", composed(
        _plus_equals, first=_linear(5, 7), second=_linear(7, 5), third=_linear()), (5,)),
    Case("used twice", composed(lambda m, x: m["a"](m["a"](x).relu()), a=_linear()), (5,)),
    Case("shared module", _shared_module, (5,)),
    Case("shared parameter", _shared_parameter, (5,)),
    Case("shared convolution", _shared_convolution, (2, 7)),
    Case("conv", conv2d(lambda: nn.Conv2d(2, 4, 3), 48), (2, 6, 5)),
    Case("conv stride", conv2d(lambda: nn.Conv2d(2, 4, 3, stride=2, padding=1), 36), (2, 6, 5)),
    Case("conv long stride", conv2d(lambda: nn.Conv2d(2, 4, 2, stride=3), 16), (2, 6, 5)),
    Case("conv same", conv2d(lambda: nn.Conv2d(2, 3, (3, 2), padding="same"), 90), (2, 6, 5)),
    Case("conv valid", conv2d(lambda: nn.Conv2d(2, 3, 2, padding="valid"), 60), (2, 6, 5)),
    Case("conv dilation", conv2d(lambda: nn.Conv2d(2, 3, 2, dilation=2, padding=1), 90),
         (2, 6, 5)),
    Case("conv same dilated", conv2d(lambda: nn.Conv2d(
        2, 3, (2, 4), dilation=(3, 1), padding="same"), 90), (2, 6, 5)),
    Case("conv groups", conv2d(lambda: nn.Conv2d(2, 4, 3, groups=2, padding=1), 120), (2, 6, 5)),
    Case("conv 1-D", sequential(
        lambda: nn.Conv1d(2, 3, 3, stride=2, padding=2, bias=False), nn.ReLU,
        lambda: nn.Conv1d(3, 4, 2), lambda: nn.Flatten(1), _linear(16, 3)), (2, 7)),
    Case("conv 3-D", lambda: nn.Sequential(nn.Conv3d(1, 2, 2, stride=(1, 2, 1))), (1, 3, 4, 3)),
    Case("ends in relu", sequential(_linear(6, 16), nn.ReLU), (6,)),
    Case("conv view", composed(_viewed, conv=lambda: nn.Conv2d(1, 3, 3), head=_linear(36, 3)),
         (1, 6, 5)),
    Case("conv residual", composed(
        _conv_residual, stem=lambda: nn.Conv2d(1, 3, 3, padding=1),
        branch=lambda: nn.Conv2d(3, 3, 3, padding="same"), head=_linear(90, 3)), (1, 6, 5)),
    Case("flatten function", composed(lambda m, x: m["a"](torch.flatten(x, 1)), a=_linear(12, 3)),
         (3, 4)),
    Case("flattened", sequential(_linear(6, 4), nn.Flatten), (3, 6)),
    Case("unflatten", sequential(_linear(6, 8), lambda: nn.Unflatten(1, (2, 4)), _linear(4, 3)),
         (6,)),
)  # fmt: skip
