"""Codes of numbers that share a scale: what each kind of code answers."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Array = NDArray[Any]


class Code(Protocol):
    """How numbers that share a scale are stored: finite float32 (high, wide, band, group).

    The last two axes share a scale. Everything is computed in float32 as the quantisers do that
    write such codes, so that the numbers are theirs to the last bit.
    """

    @property
    def dtype(self) -> type[np.integer[Any]]:
        """The type that holds a code."""

    def scales(self, groups: Floats) -> Array:
        """What is stored once for each group: (high, wide, 1, 1), or 2 numbers along the end."""

    def codes(self, groups: Floats, scales: Array) -> Array:
        """What is stored of each number: whole numbers that fit `dtype`, perhaps as floats."""

    def values(self, codes: Array, scales: Array) -> Array:
        """The numbers that codes and scales mean."""


def largest_of(groups: Floats) -> Floats:
    """The largest magnitude of each group."""
    # magnitudes order like their bits, of which numpy finds the largest sooner
    bits = np.abs(groups).view(np.int32)
    found: Floats = bits.max(axis=(-2, -1), keepdims=True).view(np.float32)
    return found


def divisor(scales: Array) -> Array:
    """The scales, infinite for groups of zeros: their codes are 0."""
    found: Array = np.where(scales != 0.0, scales, scales.dtype.type(np.inf))
    return found
