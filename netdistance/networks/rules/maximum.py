"""Maxima over windows and axes: |max x - max y| <= max |x - y|."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from netdistance.networks.rules.base import Call, ConstantFactor, Edge

_POOLS = {
    nn.MaxPool1d: functional.max_pool1d,
    nn.MaxPool2d: functional.max_pool2d,
    nn.MaxPool3d: functional.max_pool3d,
}
_ADAPTIVE = {
    nn.AdaptiveMaxPool1d: functional.adaptive_max_pool1d,
    nn.AdaptiveMaxPool2d: functional.adaptive_max_pool2d,
    nn.AdaptiveMaxPool3d: functional.adaptive_max_pool3d,
}
_AXES = {
    kind: axes
    for table in (_POOLS, _ADAPTIVE)
    for axes, pair in enumerate(table.items(), start=1)
    for kind in pair
}
_SETTINGS = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")


def _given(call: Call) -> dict[str, Any] | None:
    """The settings of a pool, if it is one that returns values alone, of a batch of images."""
    kind = type(call.module) if call.module is not None else call.node.target
    if kind not in _AXES or not call.is_unary:
        return None
    adaptive = kind in _ADAPTIVE or kind in _ADAPTIVE.values()
    names = ("output_size", "return_indices") if adaptive else _SETTINGS
    if call.module is not None:
        given: dict[str, Any] | None = {name: getattr(call.module, name) for name in names}
    else:
        given = call.settings(*names)
    if given is None or given.get("return_indices"):
        return None
    return given if call.edges[0].value.ndim == _AXES[kind] + 2 else None


def _per_axis(value: Any, axes: int) -> tuple[Any, ...]:
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    return values * axes if len(values) == 1 else values


class MaxPoolRule(ConstantFactor):
    """L = the root of how many windows a pixel is in at most, P = 0.

    |max - max'| of a window is at most the |x_i - x'_i| of one of its pixels; summing the squares
    counts a pixel once per window. Along an axis a pixel is in at most min(k, ceil(K / s)) windows,
    with K = d (k - 1) + 1 the dilated kernel; padding and ceil_mode add none.
    """

    name = "max_pool"

    def matches(self, call: Call) -> bool:
        """Whether the operator is max pooling, adaptive or not, without indices."""
        return _given(call) is not None

    def apply(self, call: Call) -> Edge:
        """The pooled value."""
        edge, given = call.edges[0], _given(call)
        assert given is not None
        axes = edge.value.ndim - 2
        if "output_size" in given:
            sizes = zip(edge.value.shape[2:], _per_axis(given["output_size"], axes), strict=True)
            counts = [_adaptive_windows(size, size if out is None else out) for size, out in sizes]
        else:
            kernel = _per_axis(given["kernel_size"], axes)
            # a stride that is not given, or empty, is the kernel size
            stride = _per_axis(given.get("stride") or kernel, axes)
            dilation = _per_axis(given.get("dilation", 1), axes)
            settings = zip(kernel, stride, dilation, strict=True)
            counts = [min(k, -(-(d * (k - 1) + 1) // s)) for k, s, d in settings]
        elements = call.elements
        # a window of padding alone gives minus infinity, which does not move
        elements = None if elements is None else elements.clamp_min(0.0)
        return edge.carried(call.evaluate(), math.sqrt(math.prod(counts)), elements)


def _adaptive_windows(size: int, out: int) -> int:
    """The most windows [floor(o n / m), ceil((o + 1) n / m)) of m that one of n pixels is in."""
    counts = [0] * size
    for o in range(out):
        for pixel in range(o * size // out, -(-(o + 1) * size // out)):
            counts[pixel] += 1
    return max(counts)


class ExtremeRule(ConstantFactor):
    """L = 1 for the largest or smallest number along axes: each number enters one of them."""

    name = "extreme"

    def matches(self, call: Call) -> bool:
        """Whether the operator is amax or amin over given axes, none of them the batch."""
        if not call.is_unary or not call.is_function(torch.amax, torch.amin, "amax", "amin"):
            return False
        given = call.settings("dim", "keepdim")
        if given is None or given.get("dim", ()) in ((), []):
            return False
        axes = _per_axis(given["dim"], 1)
        return all(axis % call.edges[0].value.ndim for axis in axes)

    def apply(self, call: Call) -> Edge:
        """The extreme values, and the same bound."""
        edge, elements = call.edges[0], call.elements
        if elements is not None and call.is_function(torch.amin, "amin"):
            elements = -call.evaluate(lambda leaf: -leaf.elements)
        return edge.carried(call.evaluate(), 1.0, elements)
