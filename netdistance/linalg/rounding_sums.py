"""What rounding a tensor to a coarser format would cost, in one pass over it: sums that add.

The nominal energy of rounding is sum_i step_i^2 / 12 over the nonzero elements, with step_i the
spacing of the format at element i: a rounding error uniform in one step has variance step^2 / 12.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from netdistance.grids.floats import E4M3
from netdistance.grids.formats import INT4_GROUP, INT4_TOP, INT8_TOP
from netdistance.linalg.leaves import BATCH_ELEMENTS, LEAF_ELEMENTS, leaf_squares

# bfloat16 keeps 7 bits after the leading one, fp8 e4m3 keeps 3 and has no power below 2^-6
BF16_STEP, FP8_STEP = 2.0**-7, 2.0**-E4M3.mantissa
FP8_TOP, FP8_LEAST_EXPONENT = E4M3.top, 1 - E4M3.bias

# within these, squares of float32 powers neither overflow nor vanish beside the largest
_PLAIN = (2.0**-40, 2.0**40)
_EXPONENT_BITS = np.int32(0x7F800000)
_BELOW_BF16_BITS = np.int32(0x0000FFFF)
# enough to show that a leaf is off the grid, unless it is on it or nearly so
_GRID_SAMPLE = 128


@dataclass(frozen=True, slots=True)
class SegmentEnergy:
    """sum over segments of count * max^2, count the nonzero elements of a row or of a group in it.

    A segment inside its leaf is in `leaves`; one that crosses leaves stands in `crossing`, by the
    element it begins at, with its largest magnitude and count so far.
    """

    leaves: tuple[float, ...] = ()
    crossing: tuple[tuple[int, float, int], ...] = ()

    @classmethod
    def joined(cls, parts: Sequence[SegmentEnergy]) -> Self:
        """The energy of all parts, in their order."""
        crossing: list[tuple[int, float, int]] = []
        for begin, largest, count in chain.from_iterable(part.crossing for part in parts):
            if crossing and crossing[-1][0] == begin:
                _, so_far, counted = crossing.pop()
                largest, count = max(so_far, largest), counted + count
            crossing.append((begin, largest, count))
        leaves = chain.from_iterable(part.leaves for part in parts)
        return cls(tuple(leaves), tuple(crossing))

    @property
    def total(self) -> float:
        """The sum over all segments."""
        return math.fsum((*self.leaves, *(n * m * m for _, m, n in self.crossing)))

    @classmethod
    def of_leaf(
        cls, largest: NDArray[Any], counts: NDArray[Any] | int, offset: int, row: int, segment: int
    ) -> Self:
        """The segments of a leaf, from its elements or from its groups.

        `largest` are magnitudes, `counts` how many nonzero elements each stands for. The leaf
        begins at number `offset` of such in a tensor with rows of `row`, cut into segments of
        `segment`, the last of a row ragged.
        """
        size = largest.size
        if isinstance(counts, int) and not (row % segment or offset % segment or size % segment):
            # whole segments without a zero, as in nearly every leaf of a large weight
            if segment > 1:
                largest = _maxima(largest, np.arange(0, size, segment))
            (squares,) = leaf_squares(largest)
            return cls((counts * segment * squares,))
        stop = offset + size
        per_row = -(-row // segment)
        first, last = (at // row * per_row + at % row // segment for at in (offset, stop - 1))
        numbers = np.arange(first, last + 1)
        begins = numbers // per_row * row + numbers % per_row * segment
        ends = np.append(begins[1:], min(begins[-1] + segment, (last // per_row + 1) * row))
        inside = (begins >= offset) & (ends <= stop)
        cuts = np.maximum(begins - offset, 0)
        if isinstance(counts, int):
            nonzero = counts * (np.minimum(ends - offset, size) - cuts)
        else:
            nonzero = np.add.reduceat(counts, cuts, dtype=np.int64)
        largest = _maxima(largest, cuts)
        leaf = float(np.sum(nonzero[inside] * largest[inside] ** 2))
        across = np.flatnonzero(~inside)
        crossing = ((int(begins[i]), float(largest[i]), int(nonzero[i])) for i in across)
        return cls((leaf,), tuple(crossing))


def _maxima(magnitude: NDArray[Any], cuts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The largest magnitude from each cut to the next."""
    # magnitudes order like their bits, of which numpy finds the largest twice as fast
    bits = magnitude.view(np.int32 if magnitude.itemsize == 4 else np.int64)
    return np.maximum.reduceat(bits, cuts).view(magnitude.dtype).astype(np.float64)


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
    def of(
        cls,
        x: NDArray[Any],
        offset: int,
        row: int,
        largest: float,
        work: RoundingWorkspace | None = None,
    ) -> Self:
        """The sums of 1-D finite floats that begin at element `offset`, a whole number of leaves.

        `row` is how many elements a row along the first axis holds, `largest` the largest magnitude
        of the whole tensor, which fp8 scales to 448. It is not 0. Give the same `work` again to
        save its allocation.
        """
        scale = largest / FP8_TOP
        parts = []
        if x.dtype == np.float64 or not _PLAIN[0] < largest < _PLAIN[1]:
            for start in range(0, x.size, LEAF_ELEMENTS):
                leaf = x[start : start + LEAF_ELEMENTS].astype(np.float64)
                parts.append(cls._of_wide(leaf, offset + start, row, scale))
        else:
            work = work or RoundingWorkspace()
            for start in range(0, x.size, BATCH_ELEMENTS):
                batch = x[start : start + BATCH_ELEMENTS]
                parts.append(cls._of_bits(batch, offset + start, row, scale, work))
        return cls.joined(parts)

    @classmethod
    def _of_bits(
        cls, x: NDArray[Any], offset: int, row: int, scale: float, work: RoundingWorkspace
    ) -> Self:
        """The sums of a batch of leaves from the bits of its elements as float32."""
        magnitude = np.abs(x, out=work.magnitude[: x.size], dtype=np.float32)
        bits, spare = magnitude.view(np.int32), work.spare[: x.size]
        nonzero = None if np.minimum.reduce(bits) > 0 else bits != 0
        segments = _segments(magnitude, nonzero, offset, row)
        np.bitwise_and(bits, _EXPONENT_BITS, out=spare)
        return cls(
            on_bf16_grid=_on_bf16_grid(bits),
            bf16_powers=leaf_squares(spare.view(np.float32)),
            fp8_powers=_fp8_powers(bits, nonzero, scale, work),  # last: it ends the bits
            fp8_scale=scale,
            **segments,
        )

    @classmethod
    def _of_wide(cls, x: NDArray[np.float64], offset: int, row: int, scale: float) -> Self:
        """The sums of a leaf by arithmetic, for what float32's bits cannot hold."""
        magnitude = np.abs(x)
        is_nonzero = magnitude > 0
        nonzero = magnitude[is_nonzero]
        mantissa, exponent = np.frexp(nonzero)
        scaled = np.frexp(nonzero / scale)[1] - 1
        powers = np.ldexp(1.0, np.maximum(scaled, FP8_LEAST_EXPONENT))
        return cls(
            on_bf16_grid=bool(np.all(mantissa * 256 == np.rint(mantissa * 256))),
            bf16_powers=(float(np.sum(np.ldexp(1.0, exponent - 1) ** 2)),),
            fp8_powers=(float(np.sum(powers**2)),),
            fp8_scale=scale,
            **_segments(magnitude, is_nonzero, offset, row),
        )

    def __add__(self, other: RoundingSums) -> RoundingSums:
        """The sums of both parts, self before other."""
        return RoundingSums.joined((self, other))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The sums of all parts, in their order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            on_bf16_grid=all(part.on_bf16_grid for part in parts),
            bf16_powers=tuple(chain.from_iterable(part.bf16_powers for part in parts)),
            fp8_powers=tuple(chain.from_iterable(part.fp8_powers for part in parts)),
            fp8_scale=max((part.fp8_scale for part in parts), default=0.0),
            rows=SegmentEnergy.joined([part.rows for part in parts]),
            groups=SegmentEnergy.joined([part.groups for part in parts]),
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


@dataclass(slots=True)
class RoundingWorkspace:
    """Reused buffers for one batch, one thread's own: fresh ones cost a page fault per 4 KiB."""

    magnitude: NDArray[np.float32] = field(default_factory=lambda: np.empty(BATCH_ELEMENTS, "f4"))
    spare: NDArray[np.int32] = field(default_factory=lambda: np.empty(BATCH_ELEMENTS, "i4"))
    _least: NDArray[np.int32] = field(default_factory=lambda: np.empty(BATCH_ELEMENTS, "i4"))
    _filled: tuple[int, int] = (0, 0)  # with what, and how far

    def lift(self, bits: NDArray[np.int32], least: int) -> None:
        """Set what is below `least` to it."""
        # numpy takes three times as long where the other side is one number
        others = self._least[: bits.size]
        if self._filled[0] != least or self._filled[1] < bits.size:
            others.fill(least)
            self._filled = (least, bits.size)
        np.maximum(bits, others, out=bits)


def _on_bf16_grid(bits: NDArray[np.int32]) -> bool:
    return not (
        np.bitwise_or.reduce(bits[:_GRID_SAMPLE]) & _BELOW_BF16_BITS
        or np.bitwise_or.reduce(bits) & _BELOW_BF16_BITS
    )


def _segments(
    magnitude: NDArray[Any], nonzero: NDArray[np.bool_] | None, offset: int, row: int
) -> dict[str, SegmentEnergy]:
    """The energies of the rows and groups of some leaves; `nonzero` is None where all are."""
    counts, full, leaf, group = nonzero, 1, LEAF_ELEMENTS, INT4_GROUP
    if row % group == 0:
        # rows are made of whole groups: one look at the elements serves both
        cuts = np.arange(0, magnitude.size, group)
        magnitude = _maxima(magnitude, cuts)
        counts = None if nonzero is None else np.add.reduceat(nonzero, cuts, dtype=np.int64)
        leaf, full, offset, row, group = leaf // group, group, offset // group, row // group, 1

    def counts_of(at: int) -> NDArray[Any] | int:
        # by leaf, so that what stands beside a leaf does not change the rounding of its sum
        part = None if counts is None else counts[at : at + leaf]
        return full if part is None or np.all(part == full) else part

    def energy(segment: int) -> SegmentEnergy:
        parts = [
            SegmentEnergy.of_leaf(
                magnitude[at : at + leaf], counts_of(at), offset + at, row, segment
            )
            for at in range(0, magnitude.size, leaf)
        ]
        return SegmentEnergy.joined(parts)

    rows = energy(row)
    return {"rows": rows, "groups": rows if row <= group else energy(group)}


def _fp8_powers(
    bits: NDArray[np.int32],
    nonzero: NDArray[np.bool_] | None,
    scale: float,
    work: RoundingWorkspace,
) -> tuple[float, ...]:
    """sum_i 4^max(floor(log2 |x_i| / scale), -6) over the nonzero of float32 magnitudes' bits.

    One for each leaf. Taking the scale's mantissa from the bits of x borrows from its exponent
    exactly where x's mantissa is the smaller: floor(log2 x) - floor(log2 scale) - borrow =
    floor(log2 x / scale). What is below the least power is first lifted to it.
    """
    mantissa, exponent = math.frexp(scale)
    borrow = math.ceil((2.0 * mantissa - 1.0) * 2**23)
    least = math.ldexp(1.0, FP8_LEAST_EXPONENT + exponent - 1)
    least_bits = int(np.float32(least).view(np.int32))
    # in place: writing elsewhere takes three times as long where the cache is full
    work.lift(bits, borrow + least_bits)
    bits -= np.int32(borrow)
    bits &= _EXPONENT_BITS
    squares = np.array(leaf_squares(bits.view(np.float32)))
    if nonzero is not None:
        zeros = np.add.reduceat(~nonzero, np.arange(0, bits.size, LEAF_ELEMENTS), dtype=np.int64)
        squares -= zeros * least**2
    return tuple((squares / math.ldexp(1.0, exponent - 1) ** 2).tolist())
