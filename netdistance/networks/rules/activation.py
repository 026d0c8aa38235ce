"""Elementwise activations: |phi(x) - phi(y)| <= L |x - y|, so that d_out = L d_in.

L is the largest |phi'|, rounded up where it has no closed form; tests/laws/test_rules.py searches
for a larger one. Activations that jump (threshold, hardshrink) have no L and no rule.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from netdistance.networks.rules.base import Call, ConstantFactor, Edge

# of the largest z, for the rounding of z in float64: below 0 by less may be above
_MARGIN = 1e-9


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation, its settings with torch's defaults, and its constant; None where unbounded."""

    module: type[nn.Module] | None
    constant: Callable[..., float | None]
    settings: dict[str, Any] = field(default_factory=dict)
    # how far, in the l2 norm, an edge may jump beyond L d
    jump: Callable[..., Tensor] | None = None


def _fixed(module: type[nn.Module] | None, constant: float) -> Activation:
    return Activation(module, lambda: constant)


def _gelu(approximate: str) -> float | None:
    return {"none": 1.12891, "tanh": 1.129005}.get(approximate)


def _bounded_clamp(min: float | None, max: float | None) -> float | None:
    return 1.0 if all(end is None or isinstance(end, int | float) for end in (min, max)) else None


def _softplus_jumps(edge: Edge, beta: float, threshold: float) -> Tensor:
    """sqrt(count) log1p(exp(-threshold)) / beta, over the elements that may cross the threshold.

    Above it torch returns x itself, which is that much less than the softplus.
    """
    distance = (edge.rows - threshold / beta).abs()
    crossing = (distance <= edge.deviation.unsqueeze(1)) & (edge.deviation.unsqueeze(1) > 0)
    height = math.log1p(math.exp(-threshold)) / beta
    return crossing.sum(1).double().sqrt() * height


ACTIVATIONS: dict[str, Activation] = {
    "relu": _fixed(nn.ReLU, 1.0),
    "relu6": _fixed(nn.ReLU6, 1.0),
    "abs": _fixed(None, 1.0),
    "absolute": _fixed(None, 1.0),
    "sin": _fixed(None, 1.0),
    "cos": _fixed(None, 1.0),
    "atan": _fixed(None, 1.0),
    "arctan": _fixed(None, 1.0),
    "erf": _fixed(None, 1.128380),  # 2 / sqrt(pi), at 0
    "tanh": _fixed(nn.Tanh, 1.0),
    "softsign": _fixed(nn.Softsign, 1.0),
    "tanhshrink": _fixed(nn.Tanhshrink, 1.0),  # 1 - tanh' is tanh^2
    "logsigmoid": _fixed(nn.LogSigmoid, 1.0),
    "sigmoid": _fixed(nn.Sigmoid, 0.25),
    "hardsigmoid": _fixed(nn.Hardsigmoid, 0.1666666666666667),  # 1/6
    "hardswish": _fixed(nn.Hardswish, 1.5),  # (2x + 3) / 6 at 3
    "silu": _fixed(nn.SiLU, 1.09984),
    "mish": _fixed(nn.Mish, 1.08850),
    "selu": _fixed(nn.SELU, 1.75810),  # 1.0507 * 1.6733, at 0 from the left
    "gelu": Activation(nn.GELU, _gelu, {"approximate": "none"}),
    "leaky_relu": Activation(nn.LeakyReLU, lambda negative_slope: max(1.0, abs(negative_slope)),
                             {"negative_slope": 0.01}),
    "elu": Activation(nn.ELU, lambda alpha: max(1.0, abs(alpha)), {"alpha": 1.0}),
    # for a negative alpha exp(x / alpha) grows without end
    "celu": Activation(nn.CELU, lambda alpha: 1.0 if alpha > 0 else None, {"alpha": 1.0}),
    "hardtanh": Activation(nn.Hardtanh, lambda min_val, max_val: 1.0,
                           {"min_val": -1.0, "max_val": 1.0}),
    "clamp": Activation(None, _bounded_clamp, {"min": None, "max": None}),
    "clip": Activation(None, _bounded_clamp, {"min": None, "max": None}),
    "softshrink": Activation(nn.Softshrink, lambda lambd: 1.0, {"lambd": 0.5}),
    "softplus": Activation(
        nn.Softplus, lambda beta, threshold: 1.0 if beta > 0 and threshold >= 0 else None,
        {"beta": 1.0, "threshold": 20.0}, _softplus_jumps),
}  # fmt: skip


def _spellings() -> dict[Any, str]:
    """Every function, tensor method and in-place form to the name of its activation."""
    found: dict[Any, str] = {operator.abs: "abs", abs: "abs"}
    for name in ACTIVATIONS:
        for form in (name, f"{name}_"):
            spellings = [getattr(place, form, None) for place in (torch, functional, torch.special)]
            method = [form] if hasattr(Tensor, form) else []
            found |= {spelling: name for spelling in (*spellings, *method) if spelling is not None}
    return found


_SPELLINGS = _spellings()
_MODULES = {entry.module: name for name, entry in ACTIVATIONS.items() if entry.module is not None}


def _found(call: Call) -> tuple[Activation, dict[str, Any]] | None:
    """The activation of a call and its settings, if it is one."""
    if not call.is_unary:
        return None
    if call.module is not None:
        name = _MODULES.get(type(call.module))
        if name is None:
            return None
        entry = ACTIVATIONS[name]
        return entry, {key: getattr(call.module, key) for key in entry.settings}
    if not call.is_function(*_SPELLINGS):
        return None
    entry = ACTIVATIONS[_SPELLINGS[call.node.target]]
    given = call.settings(*entry.settings, "inplace")
    if given is None or not isinstance(given.pop("inplace", False), bool):
        return None  # F.elu_ has a scale in that place
    return entry, entry.settings | given


class ActivationRule(ConstantFactor):
    """L of the table, P = 0."""

    name = "activation"

    def matches(self, call: Call) -> bool:
        """Whether the operator is of the table, in any of its spellings, with a constant."""
        found = _found(call)
        return found is not None and found[0].constant(**found[1]) is not None

    def has_constant_factor(self, call: Call) -> bool:
        """Not where it jumps."""
        found = _found(call)
        return found is not None and found[0].jump is None

    def apply(self, call: Call) -> Edge:
        """The activation, and L times the bound on the deviation."""
        found = _found(call)
        assert found is not None
        (entry, settings), edge = found, call.edges[0]
        factor = entry.constant(**settings) or 0.0
        if entry.jump is not None:
            return _with_jump(edge.carried(call.evaluate(), factor, None), edge, entry, settings)
        if edge.elements is None:
            return edge.carried(call.evaluate(), factor, None)
        if entry is not ACTIVATIONS["relu"]:
            return edge.carried(call.evaluate(), factor, factor * edge.elements)
        moving = _above_zero(edge, edge.elements)
        result = edge.carried(call.evaluate(), factor, moving)
        if edge.part is None:
            return result
        return replace(result, deviation=torch.minimum(result.deviation, edge.part(moving > 0)))


def _above_zero(edge: Edge, elements: Tensor) -> Tensor:
    """How far relu(z) can move where z moves by `elements`: not at all where z stays below 0."""
    largest = edge.rows.abs().amax(1).view(-1, *[1] * (edge.value.ndim - 1))
    return torch.minimum(elements, (edge.value + elements + _MARGIN * largest).clamp_min(0.0))


def _with_jump(result: Edge, edge: Edge, entry: Activation, settings: dict[str, Any]) -> Edge:
    assert entry.jump is not None
    if edge.reach is None or result.reach is None:
        return replace(result, deviation=result.deviation + entry.jump(edge, **settings))
    # from the centre to another input, and from there as far as the weights' change takes it
    jumps = entry.jump(replace(edge, deviation=edge.deviation + edge.reach), **settings)
    return replace(result, deviation=result.deviation + jumps, reach=result.reach + jumps)
