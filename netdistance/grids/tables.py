"""Codes into a short table of numbers, times the largest magnitude."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.grids.base import Array, Floats, largest_of

# below this, 1 / max is no float32
_LEAST = np.float32(1e-38)


@dataclass(frozen=True, slots=True)
class Table:
    """The nearest of some numbers from -1 to 1 times the largest magnitude.

    `entries` is by code, in any order. Source: quantize_4bit of bitsandbytes.
    """

    entries: tuple[float, ...]
    dtype: type[np.integer[Any]] = np.uint8

    @property
    def numbers(self) -> Floats:
        """The entries in float32."""
        return np.array(self.entries, dtype=np.float32)

    def scales(self, groups: Floats) -> Array:
        """As Code.scales."""
        return largest_of(groups)

    def codes(self, groups: Floats, scales: Array) -> Array:
        """As Code.codes."""
        order, middles = _ascending(self)
        scaled = groups * (np.float32(1.0) / np.maximum(scales, _LEAST))
        # a comparison with each takes a tenth of the time of a search
        nearest = np.zeros(scaled.shape, dtype=np.uint8)
        above = np.empty(scaled.shape, dtype=np.bool_)
        for middle in middles:
            nearest += np.greater(scaled, middle, out=above).view(np.uint8)
        return order.take(nearest, mode="clip")

    def values(self, codes: Array, scales: Array) -> Array:
        """As Code.values."""
        values = self.numbers.take(codes, mode="clip")  # no code is out of range
        values *= scales
        return values


@cache
def _ascending(table: Table) -> tuple[NDArray[np.uint8], Floats]:
    """The codes in the order of their numbers, and the middles between these."""
    order = np.argsort(table.numbers, kind="stable")
    numbers = table.numbers[order]
    return order.astype(np.uint8), (numbers[1:] + numbers[:-1]) * np.float32(0.5)


# quantiles of a normal distribution, with an exact zero (arXiv 2305.14314, appendix E)
NF4_TABLE = Table((
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
))  # fmt: skip
# sign, then 0, 1/16 and 2 to 12 in bitsandbytes' order of codes, over 12
_FP4_MAGNITUDES = (0.0, 0.0625, 8.0, 12.0, 4.0, 6.0, 2.0, 3.0)
FP4_TABLE = Table(tuple(sign * value / 12.0 for sign in (1.0, -1.0) for value in _FP4_MAGNITUDES))
