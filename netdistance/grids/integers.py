"""Whole numbers of steps: symmetric, from the signed largest, and from the least to the largest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from netdistance.grids.base import Array, Floats, divisor, largest_of


@dataclass(frozen=True, slots=True)
class Symmetric:
    """Codes from -top to top, top = 2^(bits - 1) - 1, times max / top.

    To nearest, ties to even. Source: compressed-tensors, symmetric; ggml's Q8_0.
    """

    bits: int
    dtype: type[np.integer[Any]] = np.int8

    @property
    def top(self) -> int:
        """The code of the largest magnitude."""
        return (1 << (self.bits - 1)) - 1

    def scales(self, groups: Floats) -> Array:
        """As Code.scales."""
        return largest_of(groups) / np.float32(self.top)

    def codes(self, groups: Floats, scales: Array) -> Array:
        """As Code.codes."""
        codes = groups / divisor(scales)
        np.rint(codes, out=codes)
        np.clip(codes, -self.top, self.top, out=codes)
        return codes

    def values(self, codes: Array, scales: Array) -> Array:
        """As Code.values."""
        values = codes.astype(np.float32)
        values *= scales
        return values


@dataclass(frozen=True, slots=True)
class SignedLargest:
    """Codes from -2^(bits - 1), which the element of largest magnitude gets, to one less than that.

    To nearest, ties upwards. Source: ggml's reference quantisers of Q4_0 and Q5_0.
    """

    bits: int
    dtype: type[np.integer[Any]] = np.int8

    def scales(self, groups: Floats) -> Array:
        """As Code.scales."""
        flat = groups.reshape(*groups.shape[:2], 1, -1)
        at = np.abs(flat).argmax(axis=-1, keepdims=True)
        return np.take_along_axis(flat, at, axis=-1) / np.float32(-(1 << (self.bits - 1)))

    def codes(self, groups: Floats, scales: Array) -> Array:
        """As Code.codes."""
        last = 1 << (self.bits - 1)
        return np.clip(np.floor(groups / divisor(scales) + np.float32(0.5)), -last, last - 1)

    def values(self, codes: Array, scales: Array) -> Array:
        """As Code.values."""
        return codes * scales


@dataclass(frozen=True, slots=True)
class Affine:
    """2^bits codes from the least to the largest; the scales are a step and where it begins.

    `with_zero`: zero is among them, as a whole code (arXiv:2210.17323); else code 0 is the least
    element (ggml's Q4_1). In float64, whose range holds every difference of two float32.
    """

    bits: int
    with_zero: bool
    dtype: type[np.integer[Any]] = np.uint8

    def scales(self, groups: Floats) -> Array:
        """As Code.scales: the step, then the code of zero or the least element."""
        ends = groups.min(axis=(-2, -1), keepdims=True), groups.max(axis=(-2, -1), keepdims=True)
        low, high = (end.astype(np.float64) for end in ends)
        if self.with_zero:
            low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
        step = (high - low) / self._last
        start = np.rint(-low / divisor(step)) if self.with_zero else low
        return np.concatenate((step, start), axis=-1)

    def codes(self, groups: Floats, scales: Array) -> Array:
        """As Code.codes."""
        step, start = divisor(scales[..., :1]), scales[..., 1:]
        codes = groups.astype(np.float64)
        if not self.with_zero:
            codes -= start
        codes /= step
        np.rint(codes, out=codes)
        if self.with_zero:
            codes += start
            np.clip(codes, 0, self._last, out=codes)
        return codes

    def values(self, codes: Array, scales: Array) -> Array:
        """As Code.values."""
        step, start = scales[..., :1], scales[..., 1:]
        values = codes.astype(np.float64)
        if self.with_zero:
            values -= start
        values *= step
        if not self.with_zero:
            values += start
        return values

    @property
    def _last(self) -> int:
        return (1 << self.bits) - 1
