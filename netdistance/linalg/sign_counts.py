"""Counts of a pair of tensors that only signs and zeros decide; they add."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SignCounts:
    """How many elements change sign, and how many are zero on each side.

    A sign flips from positive to negative or back; to zero and from it is no flip. The real and
    imaginary part of a complex element count as two numbers for flips, of which `numbers` there
    are.
    """

    numbers: int = 0
    flips: int = 0
    zeros_a: int = 0
    zeros_b: int = 0

    @classmethod
    def of(cls, a: NDArray[Any], b: NDArray[Any]) -> Self:
        """The counts of two equally long 1-D arrays."""
        x, y = a, b
        if np.iscomplexobj(a) or np.iscomplexobj(b):
            x, y = (z.astype(np.complex128, copy=False).view(np.float64) for z in (a, b))
        flips = ((x < 0) & (y > 0)) | ((x > 0) & (y < 0))
        return cls(
            numbers=x.size,
            flips=int(np.count_nonzero(flips)),
            zeros_a=a.size - int(np.count_nonzero(a)),
            zeros_b=b.size - int(np.count_nonzero(b)),
        )

    def __add__(self, other: SignCounts) -> SignCounts:
        """The counts over both parts."""
        return SignCounts(
            self.numbers + other.numbers,
            self.flips + other.flips,
            self.zeros_a + other.zeros_a,
            self.zeros_b + other.zeros_b,
        )
