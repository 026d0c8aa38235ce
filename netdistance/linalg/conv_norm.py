"""The operator norm of a zero-padded convolution, as an interval that float64 arithmetic proves.

A strided convolution is a stride-1 one of the space-to-depth rearrangement of its input, which
keeps norms. That is a compression of one on a torus, which the Fourier transform splits into one
matrix per frequency, the symbol K^(w) = sum_a K[:, :, a] exp(i w.a) (Sedghi, Gupta, Long 2019,
arXiv 1805.10408). Scaling, u and gamma are those of `spectral_norm`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product, zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.linalg.spectral_norm import (
    UNIT_ROUNDOFF,
    Array,
    Lanczos,
    gamma,
    quotient_below,
    rescaled,
    scaled_to_unit,
)
from netdistance.linalg.symbol_norm import listed_points, symbol_norm
from netdistance.quantities import Interval

_CHUNK_BYTES, _BASIS_BYTES = 32 * 2**20, 96 * 2**20


@dataclass(frozen=True, slots=True)
class _Geometry:
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    taps: tuple[int, ...]  # the kernel's spatial shape
    input_size: tuple[int, ...]  # empty for any

    @property
    def reach(self) -> tuple[int, ...]:
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.taps, strict=True))

    @property
    def phases(self) -> tuple[int, ...]:
        """The kernel size q = ceil(reach / stride) of the equivalent stride-1 convolution."""
        return tuple(-(-r // s) for r, s in zip(self.reach, self.stride, strict=True))

    @property
    def output_size(self) -> tuple[int, ...]:
        axes = zip(self.input_size, self.padding, self.reach, self.stride, strict=False)
        return tuple((size + 2 * pad - reach) // s + 1 for size, pad, reach, s in axes)


def _per_axis(name: str, value: int | Sequence[int], axes: int, least: int) -> tuple[int, ...]:
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes or not all(isinstance(v, int) and v >= least for v in values):
        raise ValueError(f"{name} is {value}: expected {axes} integers >= {least}, or one")
    return values


class _Convolution:
    """The convolution and its adjoint on flat float64 rows, as a few products per batch of taps."""

    def __init__(self, kernel: Array, geometry: _Geometry):
        self.channels, self.out = (geometry.groups, kernel.shape[1]), geometry.output_size
        taps = kernel.reshape(geometry.groups, -1, kernel.shape[1], math.prod(geometry.taps))
        taps = taps.swapaxes(2, 3)
        self.shape = (*self.channels, *geometry.input_size)
        pads = list(zip(geometry.input_size, geometry.padding, strict=True))
        self.padded = (*self.channels, *(n + 2 * p for n, p in pads))
        self.middle: tuple[Any, ...] = (..., *(slice(p, p + n) for n, p in pads))
        axes = zip(geometry.dilation, geometry.stride, self.out, geometry.taps, strict=True)
        spans = [[slice(t * d, t * d + s * n - s + 1, s) for t in range(k)] for d, s, n, k in axes]
        windows = [(..., *window) for window in product(*spans)]
        step = max(1, _CHUNK_BYTES // (8 * math.prod(self.channels) * math.prod(self.out)))
        self.batches: list[tuple[Array, list[tuple[Any, ...]]]] = [
            (taps[:, :, at : at + step].reshape(*taps.shape[:2], -1), windows[at : at + step])
            for at in range(0, len(windows), step)
        ]

    def apply(self, x: Array) -> Array:
        padded = np.zeros(self.padded)
        padded[self.middle] = x.reshape(self.shape)
        total: Array = np.zeros(1)
        for matrix, windows in self.batches:
            patches = np.stack([padded[window] for window in windows], axis=1)
            total = total + matrix @ patches.reshape(*matrix.shape[::2], -1)
        return total.ravel()

    def adjoint(self, y: Array) -> Array:
        padded: Array = np.zeros(self.padded)
        for matrix, windows in self.batches:
            parts = matrix.transpose(0, 2, 1) @ y.reshape(*matrix.shape[:2], -1)
            parts = parts.reshape(self.channels[0], len(windows), self.channels[1], *self.out)
            for tap, window in enumerate(windows):
                padded[window] += parts[:, tap]
        return np.ravel(padded[self.middle])

    def gram(self, block: Array) -> Array:
        return np.stack([self.adjoint(self.apply(row)) for row in block])


def _operator_lower(kernel: Array, geometry: _Geometry) -> float:
    """A proved lower end of the norm at the geometry's input size: |Tx|/|x| of a Ritz vector.

    Outputs are inner products of c_in/groups prod k terms; || |T| ||_2 is at most the root of its
    largest row sum times its largest column sum, bounded by the kernel's. An input that is zero
    beyond a corner reads, at the first outputs, as that corner alone: the norm at a smaller size is
    a lower bound too, and 64 strides lose about (pi q / 128)^2 per axis.
    """
    positions = _BASIS_BYTES / (8 * 24 * kernel.shape[1] * geometry.groups)
    side = int(positions ** (1 / len(geometry.taps)))
    axes = zip(geometry.input_size, geometry.reach, geometry.stride, strict=True)
    corner = tuple(min(n, max(r, min(side, r + 64 * s))) for n, r, s in axes)
    operator = _Convolution(kernel, replace(geometry, input_size=corner))
    size = math.prod(operator.shape)
    capacity = min(64, max(8, _BASIS_BYTES // (8 * size)))
    vector = Lanczos(operator.gram, size, 1, capacity).converge(1e-5)
    sizes = np.abs(kernel).reshape(geometry.groups, -1, *kernel.shape[1:])
    rows = float(sizes.sum(axis=tuple(range(2, sizes.ndim))).max())
    columns = float(sizes.sum(axis=(1, *range(3, sizes.ndim))).max())
    error = 1.01 * gamma(kernel[0].size + 8) * math.sqrt(rows * columns)
    return quotient_below(operator.apply(vector), vector, error)


def _polyphase(kernel: Array, geometry: _Geometry) -> Array:
    """The equivalent stride-1 kernel, (groups, rows, columns, *q) with rows >= columns.

    Tap j = s a + r of the dilated kernel becomes tap a of channel r. Matrices wider than tall are
    transposed, which keeps the singular values of every K^(w).
    """
    q, s, g = geometry.phases, geometry.stride, geometry.groups
    padded = np.zeros((*kernel.shape[:2], *(a * b for a, b in zip(q, s, strict=True))))
    spread = zip(geometry.reach, geometry.dilation, strict=True)
    padded[(slice(None), slice(None), *(slice(0, r, d) for r, d in spread))] = kernel
    split = padded.reshape(*kernel.shape[:2], *(n for pair in zip(q, s, strict=True) for n in pair))
    order = (0, 1, *range(3, split.ndim, 2), *range(2, split.ndim, 2))
    blocks = split.transpose(order).reshape(g, kernel.shape[0] // g, -1, *q)
    return blocks if blocks.shape[1] >= blocks.shape[2] else blocks.swapaxes(1, 2)


def _points(geometry: _Geometry) -> tuple[tuple[int, ...], float]:
    """How many frequencies of every axis to list, 0 to search them, and a factor for the lists.

    Output positions [0, H) read rearranged input positions [0, H+q-1): a compression of the torus
    with N = H+q-1 points, which are listed where they are few. The others are searched, the last
    two of them. Any further one is listed at N = max(32, 16(q-1)) points: |u'K^(w)v| has a phase
    that makes it real of exponential type (q-1)/2 in each frequency, so it is at least
    cos(pi(q-1)/2N) of its maximum at the nearest point (M. Riesz; Duffin and Schaeffer 1938).
    """
    points, factor, searched = [], 1.0, 0
    for q, size in reversed(list(zip_longest(geometry.phases, geometry.output_size))):
        many = listed_points(q)
        if q == 1:
            points.append(1)
        elif size is not None and size + q - 1 <= many:
            points.append(size + q - 1)
        elif searched < 2:
            points.append(0)
            searched += 1
        else:
            points.append(many)
            factor *= (1.0 + 8.0 * UNIT_ROUNDOFF) / math.cos(math.pi * (q - 1) / (2 * many))
    return tuple(points[::-1]), factor


def conv_norm(
    kernel: NDArray[Any],
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    input_size: int | Sequence[int] | None = None,
) -> Interval:
    """The l2 operator norm of a zero-padded convolution, between two proved ends.

    The map is torch's conv1d, conv2d, ... without bias, flat input to flat output; the options are
    torch's, an integer or one per axis. `kernel`, (c_out, c_in/groups, *k), is upcast exactly.
    Given `input_size`, the interval holds the norm at exactly that size. Below: |Tx|/|x| of a
    Lanczos Ritz vector of the map itself. Above: the largest singular value of the symbol on a
    torus, by Cholesky certificates (Rump 2011), over all groups. The ends differ by what the border
    costs, about (pi q / 2N)^2 of the norm on an axis of N. Without `input_size` it holds
    the supremum over all input sizes, which is that of the symbol over all frequencies whatever
    the padding: its upper end bounds every size, its lower end no size in particular.

    Cost: that of `symbol_norm` on a (c_out/groups) by (prod s c_in/groups) kernel of prod q taps;
    64 applications of the map and its adjoint.

    Raises:
        ValueError: a shape or option does not fit, the output is empty, an entry is not finite.

    >>> interval = conv_norm(np.ones((1, 1, 2)))  # |1 + exp(iw)| is 2 at w = 0
    >>> interval.lower <= 2.0 <= interval.upper < 2.01
    True
    """
    kernel = np.asarray(kernel)
    axes = kernel.ndim - 2
    if axes < 1 or 0 in kernel.shape[2:]:
        raise ValueError(f"kernel has shape {kernel.shape}, expected (c_out, c_in/groups, k, ...)")
    if groups < 1 or kernel.shape[0] % groups:
        raise ValueError(f"groups is {groups}: it must divide the {kernel.shape[0]} out channels")
    size = () if input_size is None else _per_axis("input_size", input_size, axes, 1)
    options = (("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1))
    steps, pads, dilations = (_per_axis(name, value, axes, least) for name, value, least in options)
    geometry = _Geometry(steps, pads, dilations, groups, kernel.shape[2:], size)
    if min(geometry.output_size, default=1) < 1:
        raise ValueError(f"input_size {input_size}, padding {padding}: the output is empty")
    scaled, exponent = scaled_to_unit(kernel)
    if not scaled.any():
        return Interval(0.0, 0.0)
    points, factor = _points(geometry)
    lower = _operator_lower(scaled, geometry) if geometry.input_size else None
    lower, upper = symbol_norm(_polyphase(scaled, geometry), points, lower)
    return rescaled(lower, upper * factor * (1.0 + 4.0 * UNIT_ROUNDOFF), exponent)
