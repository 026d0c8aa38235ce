"""Linear operators that only select, repeat and average: A with no negative entry.

Then |A|_2 <= sqrt(|A|_1 |A|_inf) (Schur's test), the largest column sum times the largest row sum,
and both can be read from two applications: A 1 holds the row sums, A' 1 the column sums. For a
permutation, slice or zero padding that gives 1, for an average over n numbers 1 / sqrt(n), for
nearest upsampling the root of the copies that each pixel gets: each time |A|_2 itself.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from netdistance.networks.rules.base import Call, ConstantFactor, Edge, NoRuleError

_MODULES = (
    nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
    nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d,
    nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d,
    nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d,
    nn.CircularPad1d, nn.CircularPad2d, nn.CircularPad3d,
    nn.PixelShuffle, nn.PixelUnshuffle, nn.ChannelShuffle, nn.Unfold, nn.Fold,
)  # fmt: skip
_FUNCTIONS = (
    functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d,
    functional.adaptive_avg_pool1d, functional.adaptive_avg_pool2d, functional.adaptive_avg_pool3d,
    functional.pixel_shuffle, functional.pixel_unshuffle, functional.unfold, functional.fold,
    operator.getitem,
)  # fmt: skip
# functions of torch and tensor methods of the same name
_NAMES = (
    "mean", "sum", "permute", "transpose", "swapaxes", "movedim", "squeeze", "unsqueeze", "select",
    "narrow", "chunk", "split", "tensor_split", "unbind", "flip", "roll", "tile", "repeat",
    "repeat_interleave", "expand", "broadcast_to", "rot90",
)  # fmt: skip
_UPSAMPLERS = (nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d)
# bicubic and lanczos have negative weights
_UPSAMPLINGS = ("nearest", "nearest-exact", "linear", "bilinear", "trilinear", "area")


def _spelled() -> set[Any]:
    named = {getattr(torch, name) for name in _NAMES if hasattr(torch, name)}
    return {*_FUNCTIONS, *_NAMES, *named}


_SPELLED = _spelled()


def _pads(call: Call) -> bool:
    """Whether a pad copies values or adds zeros: any other constant is not linear."""
    given = call.settings("pad", "mode", "value")
    return given is not None and (
        given.get("mode", "constant") != "constant" or not given.get("value", 0.0)
    )


def _upsamples(call: Call) -> bool:
    if isinstance(call.module, nn.Upsample):
        return call.module.mode in _UPSAMPLINGS
    given = call.settings(
        "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias"
    )
    return given is not None and given.get("mode", "nearest") in _UPSAMPLINGS


class NonnegativeRule(ConstantFactor):
    """d_out = sqrt(|A|_1 |A|_inf) d_in, P = 0, where no output mixes two inputs of the batch."""

    name = "nonnegative"

    def matches(self, call: Call) -> bool:
        """Whether the operator is of the lists above, on one value, with plain settings."""
        if not call.is_unary:
            return False
        if call.module is not None:
            whole = type(call.module)
            zeros = isinstance(call.module, nn.ConstantPad1d | nn.ConstantPad2d | nn.ConstantPad3d)
            return (
                whole in _MODULES
                or (zeros and bool(call.module.value == 0))
                or (whole in _UPSAMPLERS and _upsamples(call))
            )
        if call.is_function(functional.pad):
            return _pads(call)
        if call.is_function(functional.interpolate):
            return _upsamples(call)
        return call.is_function(*_SPELLED) and not isinstance(call.args[0], list | tuple)

    def apply(self, call: Call) -> Any:
        """The operator, and the bound on its norm times the deviation; of each piece, if many."""
        edge, result = call.edges[0], call.evaluate()
        if isinstance(result, Tensor):
            return _bounded(call, edge, result, None)
        return [_bounded(call, edge, piece, at) for at, piece in enumerate(result)]


def _bounded(call: Call, edge: Edge, value: Tensor, at: int | None) -> Edge:
    if value.shape[:1] != edge.value.shape[:1] or value.numel() == 0:
        # refused, as one that mixes the inputs; or nothing
        return edge.carried(value, 1.0, None)
    rows, columns = _sums(call, torch.ones_like(edge.value), at)
    _require_separate(call, edge.value, rows, at)
    elements = None if edge.elements is None else _piece(call, edge.elements, at).abs()
    return edge.carried(value, (rows.max() * columns.max()).sqrt(), elements)


def _sums(call: Call, ones: Tensor, at: int | None) -> tuple[Tensor, Tensor]:
    """A 1 and A' 1, without their signs: a negative divisor makes all entries negative."""
    with torch.enable_grad():
        ones = ones.requires_grad_()
        rows = _piece(call, ones, at)
        (columns,) = torch.autograd.grad(rows.sum(), ones)
    return rows.detach().abs(), columns.abs()


def _require_separate(call: Call, value: Tensor, rows: Tensor, at: int | None) -> None:
    """Check that each input's outputs come from that input alone.

    With input n filled with w_n, an output without negative entries is w_n times its row sum if it
    reads input n only. Two random draws of w do not agree with any other reading.

    Raises:
        NoRuleError: some output reads another input.
    """
    generator = torch.Generator().manual_seed(1)
    for _ in range(2 if value.shape[0] > 1 else 0):
        w = 1.0 + torch.rand(value.shape[0], generator=generator, dtype=value.dtype)
        filled = w.view(-1, *[1] * (value.ndim - 1)).expand_as(value)
        found = _piece(call, filled.contiguous(), at).abs()
        if not torch.allclose(found, w.view(-1, *[1] * (rows.ndim - 1)) * rows, rtol=1e-9, atol=0):
            raise NoRuleError(f"operator {call.describe()} mixes the inputs of a batch")


def _piece(call: Call, value: Tensor, at: int | None) -> Tensor:
    result = call.evaluate(lambda leaf: value)
    piece: Tensor = result if at is None else result[at]
    return piece


class PieceRule(ConstantFactor):
    """One of the pieces that an operator such as chunk gave: itself, with its own bound."""

    name = "piece"

    def matches(self, call: Call) -> bool:
        """Whether the operator picks from a list of values."""
        whole = call.args[0] if call.args else None
        return call.is_function(operator.getitem) and isinstance(whole, list | tuple)

    def apply(self, call: Call) -> Any:
        """The piece."""
        return call.args[0][call.args[1]]
