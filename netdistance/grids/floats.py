"""Shorter floating point: as it is, and small ones times a scale.

Sources: IEEE 754 binary16; OCP 8-bit floating point 1.0; OCP microscaling formats 1.0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.dtypes import BY_NAME, Specials, small_float_values
from netdistance.grids.base import Array, Floats, divisor, largest_of

_E8M0_BIAS = 127


@dataclass(frozen=True, slots=True)
class Cast:
    """A type of 16 or 32 bits; what is beyond `top` becomes infinite."""

    top: float
    codes: Callable[[Floats], Array]
    values: Callable[[Array], Floats]


def to_bfloat16(weight: Floats) -> NDArray[np.uint16]:
    """The upper half of each float32, rounded to nearest, ties to even; none is NaN."""
    bits = np.ascontiguousarray(weight).view(np.uint32)
    # below half a step nothing is carried, and at half one where the last kept bit is 1
    return ((bits + (np.uint32(0x7FFF) + (bits >> 16 & np.uint32(1)))) >> 16).astype(np.uint16)


def _from_bfloat16(codes: Array) -> Floats:
    decode = BY_NAME["BF16"].decode
    assert decode is not None
    found: Floats = decode(np.ascontiguousarray(codes).view(np.uint8).reshape(-1))
    return found.reshape(codes.shape)


def _to_float16(numbers: Floats) -> NDArray[np.float16]:
    with np.errstate(over="ignore", under="ignore"):
        return numbers.astype(np.float16)


BF16 = Cast(float.fromhex("0x1.fep127"), to_bfloat16, _from_bfloat16)
FP16 = Cast(65504.0, _to_float16, lambda codes: codes.astype(np.float32))
FP32 = Cast(float(np.finfo(np.float32).max), lambda numbers: numbers, lambda codes: codes)


@dataclass(frozen=True, slots=True)
class SmallFloat:
    """A type of at most 8 bits, sign first; what is beyond its largest number becomes that.

    The fields are those of `small_float_values`.
    """

    exponent: int
    mantissa: int
    bias: int
    specials: Specials

    @property
    def table(self) -> Floats:
        """Its numbers by code."""
        return small_float_values(self.exponent, self.mantissa, self.bias, self.specials)

    @property
    def top(self) -> float:
        """The largest number."""
        return float(self.table[self._last])

    @property
    def _last(self) -> int:
        """The code of the largest number; above it are those of infinity and NaN."""
        none = {"ieee": 1 << self.mantissa, "fn": 1, "fnuz": 0, "none": 0}[self.specials]
        return (1 << (self.exponent + self.mantissa)) - 1 - none

    def codes(self, numbers: Floats) -> Array:
        """The nearest numbers, ties to even, as what is stored of them."""
        magnitude = np.abs(numbers)
        bits, cut = magnitude.view(np.int32), 23 - self.mantissa
        # rounded in the bits of float32, as to_bfloat16 does, and its exponent to the type's own
        codes = bits >> cut
        codes &= 1
        codes += bits
        codes += (1 << (cut - 1)) - 1
        codes >>= cut
        codes -= (127 - self.bias) << self.mantissa
        # below the least normal number, whole steps: those of a sum with a number that has them
        least: float = 2.0 ** (1 - self.bias)
        lift = np.float32(least * 2.0**cut)
        np.minimum(magnitude, np.float32(least), out=magnitude)
        magnitude += lift
        bits -= lift.view(np.int32)
        np.maximum(codes, bits, out=codes)
        np.minimum(codes, self._last, out=codes)
        place = self.exponent + self.mantissa
        codes |= numbers.view(np.int32) >> (31 - place) & (1 << place)
        return codes.astype(np.uint8)

    def values(self, codes: Array) -> Floats:
        """The numbers that are stored so."""
        return self.table.take(codes, mode="clip")  # no code is out of range


E4M3 = SmallFloat(4, 3, 7, "fn")
E5M2 = SmallFloat(5, 2, 15, "ieee")
E2M1 = SmallFloat(2, 1, 1, "none")
Number = Cast | SmallFloat


def rounded(number: Number, numbers: Array) -> Floats:
    """The nearest numbers of the type, by way of float32 as torch rounds float64 too.

    >>> rounded(E4M3, np.array([1.07, -500.0, 0.001])).tolist()
    [1.125, -448.0, 0.001953125]
    """
    with np.errstate(over="ignore", under="ignore"):
        return number.values(number.codes(numbers.astype(np.float32, copy=False)))


@dataclass(frozen=True, slots=True)
class Scaled:
    """A small float times max / top, so that the largest element gets its largest number."""

    number: SmallFloat
    dtype: type[np.integer[Any]] = np.uint8

    def scales(self, groups: Floats) -> Array:
        """As Code.scales."""
        return largest_of(groups) / np.float32(self.number.top)

    def codes(self, groups: Floats, scales: Array) -> Array:
        """As Code.codes."""
        scaled: Array = groups / divisor(scales)
        return self.number.codes(scaled)

    def values(self, codes: Array, scales: Array) -> Array:
        """As Code.values."""
        values = self.number.values(codes)
        values *= scales
        return values


@dataclass(frozen=True, slots=True)
class Microscaled:
    """A small float times a power of two, floor(log2 max) - floor(log2 top), stored plus 127.

    What lies above top times the power goes to it: of e2m1, up to 2 of 8 of a group's range are
    cut. Source: OCP microscaling formats 1.0, sections 5.3.3 and 6.3.
    """

    number: SmallFloat
    dtype: type[np.integer[Any]] = np.uint8

    def scales(self, groups: Floats) -> Array:
        """As Code.scales."""
        largest = largest_of(groups)
        exponents = np.frexp(largest)[1] - np.frexp(self.number.top)[1]
        exponents = np.where(largest > 0.0, exponents, -_E8M0_BIAS)
        exponents = np.clip(exponents, -_E8M0_BIAS, _E8M0_BIAS) + _E8M0_BIAS
        return exponents.astype(np.uint8)

    def codes(self, groups: Floats, scales: Array) -> Array:
        """As Code.codes."""
        return self.number.codes(groups * self._powers(_E8M0_BIAS - scales.astype(np.int32)))

    def values(self, codes: Array, scales: Array) -> Array:
        """As Code.values."""
        values = self.number.values(codes)
        values *= self._powers(scales.astype(np.int32) - _E8M0_BIAS)
        return values

    def _powers(self, exponents: Array) -> Floats:
        return np.ldexp(np.float32(1.0), exponents)
