"""Networks of operators beyond Linear, convolution, ReLU, reshapes and sums."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.cases.networks import Case, Composed, composed, conv2d, sequential


def _linear(fan_in: int = 5, fan_out: int = 5) -> Callable[[], nn.Module]:
    return lambda: nn.Linear(fan_in, fan_out)


class Own(nn.Module):
    """Tensors of its own: a matrix, an offset, a factor and a kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix, self.kernel = (
            nn.Parameter(torch.zeros(6, 8)),
            nn.Parameter(torch.zeros(2, 1, 3)),
        )
        self.offset, self.factor = nn.Parameter(torch.zeros(8)), nn.Parameter(torch.zeros(2, 1))
        self.register_buffer("shift", torch.zeros(1, 2, 6))

    def forward(self, x: Tensor) -> Tensor:
        h = functional.conv1d(x.unsqueeze(1), self.kernel, padding=1) * self.factor + self.shift
        h = torch.tanh(h @ self.matrix + self.offset)
        return functional.linear(h, self.matrix).flatten(1)


def _gated(m: nn.ModuleDict, x: Tensor) -> Tensor:
    h = m["a"](x)
    left, right = h.chunk(2, 1)
    out: Tensor = m["b"](left * torch.sigmoid(right))
    return out


def _squeezed(m: nn.ModuleDict, x: Tensor) -> Tensor:
    h = functional.silu(m["conv"](x))
    out: Tensor = m["head"]((h * torch.sigmoid(m["gate"](h.mean((2, 3), keepdim=True)))).flatten(1))
    return out


def _shortcut(m: nn.ModuleDict, x: Tensor) -> Tensor:
    h = torch.relu(m["bn1"](m["conv1"](x)))
    h = m["bn2"](m["conv2"](h))
    h += functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1), "constant", 0)
    h = functional.avg_pool2d(torch.relu(h), h.size()[3])
    out: Tensor = m["head"](h.view(h.size(0), -1))
    return out


def _dense(m: nn.ModuleDict, x: Tensor) -> Tensor:
    h = torch.cat([x, torch.tanh(m["a"](x))], 1)
    out: Tensor = m["b"](torch.cat((h, -functional.gelu(m["c"](h)) / 2), dim=-1) - 0.5)
    return out


def _normalised() -> nn.Module:
    first, second = nn.Linear(6, 5, bias=False), nn.Linear(5, 3)
    return nn.Sequential(
        first, nn.BatchNorm1d(5), nn.ReLU(), second, nn.BatchNorm1d(3, affine=False)
    )


def _activated(*kinds: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """A builder of a Linear layer after each activation."""
    return sequential(_linear(), *itertools.chain.from_iterable((k, _linear()) for k in kinds))


# of the operators beyond Linear, convolution, ReLU, reshapes and sums
WIDER: tuple[Case, ...] = (
    Case("smooth", _activated(nn.GELU, nn.SiLU, nn.Mish), (5,)),
    Case("saturating", _activated(nn.Tanh, nn.Sigmoid, nn.Softsign), (5,)),
    Case("piecewise", _activated(lambda: nn.LeakyReLU(0.2), nn.ReLU6, nn.Hardtanh), (5,)),
    Case("hard", _activated(nn.Hardswish, nn.Hardsigmoid, lambda: nn.Hardswish(inplace=True)),
         (5,)),
    Case("exponential", _activated(nn.ELU, nn.SELU, lambda: nn.CELU(0.5)), (5,)),
    Case("soft", _activated(nn.Softplus, nn.Tanhshrink, nn.Softshrink, nn.LogSigmoid), (5,)),
    Case("approximate gelu", _activated(lambda: nn.GELU("tanh"), lambda: nn.LeakyReLU(-2.0)), (5,)),
    Case("prelu", _activated(nn.PReLU, lambda: nn.PReLU(5)), (5,)),
    Case("conv prelu", conv2d(lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.PReLU(4), nn.Conv2d(4, 2, 1)), 24), (2, 6, 5)),
    Case("functions", composed(lambda m, x: m["b"](torch.abs(m["a"](x)).clamp(max=1.5).sin()),
                               a=_linear(), b=_linear()), (5,)),
    Case("batch norm", _normalised, (6,)),
    Case("conv batch norm", conv2d(lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1)), 24), (2, 6, 5)),
    Case("residual block", composed(
        _shortcut, conv1=lambda: nn.Conv2d(2, 3, 3, 2, 1, bias=False),
        bn1=lambda: nn.BatchNorm2d(3), conv2=lambda: nn.Conv2d(3, 4, 3, padding=1),
        bn2=lambda: nn.BatchNorm2d(4), head=_linear(4, 3)), (2, 6, 6)),
    Case("max pool", conv2d(lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.MaxPool2d(2)), 24), (2, 6, 5)),
    Case("overlapping max pool", conv2d(lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.MaxPool2d(
        3, stride=1, padding=1, ceil_mode=True)), 48), (2, 6, 5)),
    Case("average pool", conv2d(lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.AvgPool2d(
        3, stride=2, padding=1, count_include_pad=False)), 16), (2, 6, 5)),
    Case("adaptive pools", conv2d(lambda: nn.Sequential(
        nn.Conv2d(2, 4, 1), nn.AdaptiveMaxPool2d((4, 3)), nn.AdaptiveAvgPool2d(2)), 16), (2, 6, 5)),
    Case("pools of 1-D and 3-D", sequential(
        lambda: nn.Conv1d(2, 4, 2), lambda: nn.MaxPool1d(2), lambda: nn.Unflatten(1, (1, 4)),
        lambda: nn.Unflatten(2, (2, 2)), lambda: nn.AvgPool3d((1, 2, 1)), nn.Flatten,
        _linear(6, 3)), (2, 7)),
    Case("mean", composed(lambda m, x: m["b"](m["a"](x).amax(1) + x.mean(1)),
                          a=_linear(), b=_linear()), (3, 5)),
    Case("transposed", sequential(
        lambda: nn.ConvTranspose2d(2, 3, 3, stride=2, output_padding=1), nn.ReLU,
        lambda: nn.Conv2d(3, 1, 3, stride=3), nn.Flatten, _linear(16, 3)), (2, 6, 5)),
    Case("transposed groups", lambda: nn.Sequential(
        nn.ConvTranspose1d(4, 2, 3, dilation=2, padding=1, groups=2), nn.ReLU(),
        nn.ConvTranspose1d(2, 1, 2)), (4, 5)),
    Case("autoencoder", conv2d(lambda: nn.Sequential(
        nn.Conv2d(2, 3, 2, stride=2), nn.Upsample(scale_factor=2), nn.ZeroPad2d(1)), 144),
        (2, 6, 4)),
    Case("squeeze and excite", composed(
        _squeezed, conv=lambda: nn.Conv2d(2, 3, 3), gate=lambda: nn.Conv2d(3, 3, 1),
        head=_linear(36, 3)), (2, 6, 5)),
    Case("square", composed(lambda m, x: m["b"]((h := m["a"](x)) * h), a=_linear(), b=_linear()),
         (5,)),
    Case("dense", composed(_dense, a=_linear(5, 4), c=_linear(9, 3), b=_linear(12, 3)), (5,)),
    Case("permuted", composed(
        lambda m, x: m["b"](torch.relu(m["a"](x)).transpose(1, 2)).movedim(1, -1)[:, :3].squeeze(2),
        a=_linear(), b=_linear(4, 3)), (4, 5)),
    Case("zero layer", lambda: Composed(lambda m, x: m["a"](x) - m["a"](2 * x), a=_linear(5, 4)()),
         (5,)),
    Case("own tensors", Own, (6,)),
    Case("gate", composed(_gated, a=_linear(5, 8), b=_linear(4, 3)), (5,)),
    Case("dropped slice", composed(
        lambda m, x: functional.dropout(m["a"](x), 0.5, training=False)[:, :2], a=_linear()), (5,)),
)  # fmt: skip
