"""Networks that no certificate may cover: operators without a rule, and what a trace hides."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from tests.cases.networks import Case, Composed, composed, sequential


def _linear(fan_in: int = 5, fan_out: int = 5) -> nn.Module:
    return nn.Linear(fan_in, fan_out)


def _branching(m: nn.ModuleDict, x: Tensor) -> Tensor:
    h: Tensor = m["a"](x)
    return h if bool(h.sum() > 0) else -h


class ReadsBuffer(nn.Module):
    """A number read from a buffer, which the weights of another checkpoint may change."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(5, 5)
        self.register_buffer("offset", torch.tensor(0.25))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.a(x) + float(self.offset)
        return out


class TwoInputs(nn.Module):
    """A second input that has a default."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(5, 5)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        out: Tensor = self.a(x)
        return out


class Doubling(nn.Module):
    """A branch f that `x += f(x)` adds to x and to everything else that x is."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 5), nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        kept = h
        h += torch.relu(self.b(x))
        return h + kept


class ReadsWeights(nn.Module):
    """A number computed from a weight without going through its attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.a(x) + float(next(self.parameters()).norm())
        return out


def _overwritten(m: nn.ModuleDict, x: Tensor) -> Tensor:
    h: Tensor = m["a"](x)
    return functional.relu(h, inplace=True) + h


def _hooked() -> nn.Module:
    module = nn.Sequential(nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 2))
    # without effect until an output exceeds 100
    module[0].register_forward_hook(lambda _, __, out: torch.where(out > 100.0, out * 9.0, out))
    return module


def _replaced_forward() -> nn.Module:
    layer = nn.Linear(5, 2)

    def forward(self: nn.Linear, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight, self.bias).clamp(max=100.0)

    layer.forward = MethodType(forward, layer)  # type: ignore[method-assign]
    return nn.Sequential(layer)


class _Halved(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight / 2.0


def _parametrized() -> nn.Module:
    layer = nn.Linear(5, 2)
    parametrize.register_parametrization(layer, "weight", _Halved())
    return nn.Sequential(layer)


def _mixing(what: Any) -> Any:
    return composed(lambda m, x: what(m["a"](x)), a=_linear)


IMAGE = (2, 6, 5)
UNSUPPORTED: tuple[Case, ...] = (
    Case("softmax", sequential(_linear, lambda: nn.Softmax(dim=1)), (5,), "1 (Softmax)"),
    Case("layer norm", sequential(_linear, lambda: nn.LayerNorm(5)), (5,), "1 (LayerNorm)"),
    Case("reflect padding", sequential(
        lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect")), IMAGE, "0 (Conv2d)"),
    Case("control flow", lambda: Composed(_branching, a=_linear()), (5,), "cannot be traced"),
    Case("mean over the batch", _mixing(lambda h: h - h.mean(0)), (5,), "mean"),
    Case("sum over the batch", _mixing(lambda h: h + h.sum(0, keepdim=True)), (5,), "sum"),
    Case("flattened batch", _mixing(lambda h: torch.flatten(h).view(h.size(0), -1)), (5,),
         "mixes the inputs"),
    Case("rows as a batch", composed(
        lambda m, x: m["a"](x.view(-1, 5)).view(x.size(0), -1), a=_linear), (2, 5),
        "mixes the inputs"),
    Case("broadcasting add", composed(
        lambda m, x: m["a"](x) + m["b"](x), a=_linear, b=lambda: _linear(5, 1)), (5,), "add"),
    Case("scaled add", composed(
        lambda m, x: torch.add(m["a"](x), x, alpha=3), a=_linear), (5,), "add"),
    Case("transpose", _mixing(lambda h: h.t().t()), (5,), "(t)"),
    Case("default mask", TwoInputs, (5,), "second input"),
    Case("overwritten and used again", composed(_overwritten, a=_linear), (5,), "own output"),
    Case("+= on a value used again", Doubling, (5,), "own output"),
    Case("reads its weights", ReadsWeights, (5,), "own output"),
    Case("reads its buffers", ReadsBuffer, (5,), "own output"),
    Case("hook", _hooked, (5,), "0 (Linear) has hooks"),
    Case("replaced forward", _replaced_forward, (5,), "0 (Linear) has hooks"),
    Case("parametrized", _parametrized, (5,), "0"),
    Case("weight norm", lambda: nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(5, 2))), (5,), "0"),
)  # fmt: skip
