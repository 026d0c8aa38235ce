"""What rounding a tensor to a coarser format would cost, in one pass over it: sums that add.

The nominal energy of rounding is sum_i step_i^2 / 12 over the nonzero elements, with step_i the
spacing of the format at element i: a rounding error uniform in one step has variance step^2 / 12.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.linalg.leaves import DOT_ELEMENTS, LEAF_ELEMENTS

INT4_GROUP = 128
# the code that the largest element of a row or group is rounded to
INT8_TOP, INT4_TOP = 127, 7
# bfloat16 keeps 7 bits after the leading one, fp8 e4m3 keeps 3 and has no power below 2^-6
BF16_STEP, FP8_STEP = 2.0**-7, 2.0**-3
FP8_TOP, FP8_LEAST_EXPONENT = 448.0, -6

# within these, squares of float32 powers neither overflow nor vanish beside the largest
_PLAIN = (2.0**-40, 2.0**40)
_EXPONENT_BITS = np.int32(0x7F800000)
_BELOW_BF16_BITS = np.int32(0x0000FFFF)


@dataclass(frozen=True, slots=True)
class SegmentEnergy:
    """sum over segments of count * max^2, count the nonzero elements of a row or of a group in it.

    A segment inside its leaf is in `leaves`; one that crosses leaves stands in `crossing`, by the
    element it begins at, with its largest magnitude and count so far.
    """

    leaves: tuple[float, ...] = ()
    crossing: tuple[tuple[int, float, int], ...] = ()

    def __add__(self, other: SegmentEnergy) -> SegmentEnergy:
        """The energy of both parts, self before other."""
        mine, theirs = self.crossing, other.crossing
        if mine and theirs and mine[-1][0] == theirs[0][0]:
            begin, largest, count = mine[-1]
            joined = (begin, max(largest, theirs[0][1]), count + theirs[0][2])
            mine, theirs = (*mine[:-1], joined), theirs[1:]
        return SegmentEnergy(self.leaves + other.leaves, mine + theirs)

    @property
    def total(self) -> float:
        """The sum over all segments."""
        return math.fsum((*self.leaves, *(n * m * m for _, m, n in self.crossing)))

    @classmethod
    def of_leaf(cls, magnitude: NDArray[Any], offset: int, row: int, group: int) -> SegmentEnergy:
        """The segments of a leaf: elements offset.. of a tensor whose rows hold `row` elements."""
        size = magnitude.size
        if row % group == 0 and offset % group == 0 and size % group == 0 and magnitude.min() > 0:
            # whole segments without a zero, as in nearly every leaf of a large weight
            largest = np.maximum.reduceat(magnitude, np.arange(0, size, group)).astype(np.float64)
            return cls((group * float(np.sum(largest**2)),))
        begins = _begins(offset, size, row, group)
        ends = np.minimum(begins + group, (begins // row + 1) * row)
        first = np.maximum(begins - offset, 0)
        largest = np.maximum.reduceat(magnitude, first).astype(np.float64)
        if magnitude.min() > 0:
            counts = np.minimum(ends - offset, size) - first
        else:
            counts = np.add.reduceat(magnitude != 0, first, dtype=np.int64)
        inside = (begins >= offset) & (ends <= offset + size)
        leaf = float(np.sum(counts[inside] * largest[inside] ** 2))
        crossing = tuple(
            (int(begins[i]), float(largest[i]), int(counts[i])) for i in np.flatnonzero(~inside)
        )
        return cls((leaf,), crossing)


def _begins(offset: int, size: int, row: int, group: int) -> NDArray[np.int64]:
    """Where the segments that meet offset:offset+size begin, the first perhaps before it."""
    stop = offset + size
    if row <= group:
        return np.arange(offset // row * row, stop, row)
    parts = []
    for start in range(offset // row * row, stop, row):
        low = max(0, (offset - start) // group) * group
        parts.append(np.arange(start + low, min(start + row, stop), group))
    return np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class RoundingSums:
    """What rounding a reference tensor would cost in each format; parts of it add."""

    on_bf16_grid: bool = True
    bf16_powers: tuple[float, ...] = ()  # a leaf's sum of 4^floor(log2 |x|)
    fp8_powers: tuple[float, ...] = ()  # the same of |x| / scale, from the least power up
    fp8_scale: float = 0.0
    rows: SegmentEnergy = field(default_factory=SegmentEnergy)
    groups: SegmentEnergy = field(default_factory=SegmentEnergy)

    @classmethod
    def of(cls, x: NDArray[Any], offset: int, row: int, largest: float) -> RoundingSums:
        """The sums of 1-D finite floats that begin at element `offset`, a whole number of leaves.

        `row` is how many elements a row along the first axis holds, `largest` the largest magnitude
        of the whole tensor, which fp8 scales to 448. It is not 0.
        """
        if x.dtype != np.float32 or not _PLAIN[0] < largest < _PLAIN[1]:
            return cls._of_wide(x.astype(np.float64), offset, row, largest)
        scale = largest / FP8_TOP
        total = cls(fp8_scale=scale)
        for start in range(0, x.size, LEAF_ELEMENTS):
            magnitude = np.abs(x[start : start + LEAF_ELEMENTS])
            bits = magnitude.view(np.int32)
            powers = (bits & _EXPONENT_BITS).view(np.float32)
            total += cls(
                on_bf16_grid=not bool(np.bitwise_or.reduce(bits) & _BELOW_BF16_BITS),
                bf16_powers=(_sum_of_squares(powers),),
                fp8_powers=(_fp8_powers(bits, scale),),
                fp8_scale=scale,
                **_segments(magnitude, offset + start, row),
            )
        return total

    @classmethod
    def _of_wide(
        cls, x: NDArray[np.float64], offset: int, row: int, largest: float
    ) -> RoundingSums:
        """The same by arithmetic, for what float32's bits cannot hold."""
        scale = largest / FP8_TOP
        total = cls(fp8_scale=scale)
        for start in range(0, x.size, LEAF_ELEMENTS):
            magnitude = np.abs(x[start : start + LEAF_ELEMENTS])
            nonzero = magnitude[magnitude > 0]
            mantissa, exponent = np.frexp(nonzero)
            scaled = np.frexp(nonzero / scale)[1] - 1
            powers = np.ldexp(1.0, np.maximum(scaled, FP8_LEAST_EXPONENT))
            total += cls(
                on_bf16_grid=bool(np.all(mantissa * 256 == np.rint(mantissa * 256))),
                bf16_powers=(float(np.sum(np.ldexp(1.0, exponent - 1) ** 2)),),
                fp8_powers=(float(np.sum(powers**2)),),
                fp8_scale=scale,
                **_segments(magnitude, offset + start, row),
            )
        return total

    def __add__(self, other: RoundingSums) -> RoundingSums:
        """The sums of both parts, self before other."""
        return RoundingSums(
            self.on_bf16_grid and other.on_bf16_grid,
            self.bf16_powers + other.bf16_powers,
            self.fp8_powers + other.fp8_powers,
            max(self.fp8_scale, other.fp8_scale),
            self.rows + other.rows,
            self.groups + other.groups,
        )

    @property
    def bf16_energy(self) -> float:
        """Sum step^2 / 12, step = 2^(e - 7) at an element in [2^e, 2^(e + 1)); 0 on the grid."""
        return 0.0 if self.on_bf16_grid else math.fsum(self.bf16_powers) * BF16_STEP**2 / 12.0

    @property
    def fp8_energy(self) -> float:
        """Sum step^2 / 12 of e4m3, the tensor scaled so that its largest element is 448."""
        return math.fsum(self.fp8_powers) * (FP8_STEP * self.fp8_scale) ** 2 / 12.0

    @property
    def int8_energy(self) -> float:
        """Sum step^2 / 12, step = max / 127 of each row along the first axis."""
        return self.rows.total / INT8_TOP**2 / 12.0

    @property
    def int4_energy(self) -> float:
        """Sum step^2 / 12, step = max / 7 of each group of 128 along a row, the last one ragged."""
        return self.groups.total / INT4_TOP**2 / 12.0


def _segments(magnitude: NDArray[Any], offset: int, row: int) -> dict[str, Any]:
    return {
        "rows": SegmentEnergy.of_leaf(magnitude, offset, row, row),
        "groups": SegmentEnergy.of_leaf(magnitude, offset, row, INT4_GROUP),
    }


def _fp8_powers(bits: NDArray[np.int32], scale: float) -> float:
    """sum_i 4^max(floor(log2 |x_i| / scale), -6) over the nonzero of float32 magnitudes' bits.

    Taking the scale's mantissa from the bits of x borrows from its exponent exactly where x's
    mantissa is the smaller: floor(log2 x) - floor(log2 scale) - borrow = floor(log2 x / scale).
    """
    mantissa, exponent = math.frexp(scale)
    borrow = np.int32(math.ceil((2.0 * mantissa - 1.0) * 2**23))
    least = math.ldexp(1.0, FP8_LEAST_EXPONENT + exponent - 1)
    zeros = 0 if bits.min() > 0 else bits.size - int(np.count_nonzero(bits))
    # in place: what would turn negative is small, and the last maximum lifts it
    work = np.maximum(bits, borrow)
    work -= borrow
    work &= _EXPONENT_BITS
    powers = work.view(np.float32)
    np.maximum(powers, np.float32(least), out=powers)
    squares = _sum_of_squares(powers) - zeros * least**2
    return squares / math.ldexp(1.0, exponent - 1) ** 2


def _sum_of_squares(x: NDArray[np.float32]) -> float:
    """Of powers of two, by dot products below BLAS's threading threshold, added in float64."""
    whole = x.size // DOT_ELEMENTS * DOT_ELEMENTS
    rows, rest = x[:whole].reshape(-1, DOT_ELEMENTS), x[whole:]
    return float(np.vecdot(rows, rows).sum(dtype=np.float64)) + float(np.vecdot(rest, rest))
