"""Float64 sums of a pair of tensors, which add: any block size, thread count or machine count.

Sums are kept for each leaf of 2^16 elements, counted from the tensor's start, and added at the end
by `math.fsum`, which is exact and so does not depend on the order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from netdistance.linalg.leaves import DOT_ELEMENTS, LEAF_ELEMENTS

# squares below this may have lost bits to underflow, and above its inverse many sums may overflow:
# they are taken again after scaling
_SAFE_SQUARES = 1e-200

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SumOfSquares:
    """sum_i x_i^2 = 4^exponent * fsum(leaves), each leaf within 1e-14 relative of its exact sum.

    The exponent is 0 unless float64 data would overflow or underflow when squared.

    >>> of = SumOfSquares.of
    >>> of(np.array([2.0**600, 0.0])).norm == 2.0**600
    True
    """

    leaves: tuple[float, ...] = ()
    exponent: int = 0

    @classmethod
    def of(cls, x: Floats) -> Self | None:
        """The sum over a 1-D array that begins at a leaf, or None where x is not finite."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            leaves = _leaf_squares(_padded(x))
            total = float(leaves.sum())
        if _SAFE_SQUARES < total < 1.0 / _SAFE_SQUARES or (total == 0.0 and not x.any()):
            return cls(tuple(leaves.tolist()))
        largest = max(float(x.max()), -float(x.min()))
        if not math.isfinite(largest):
            return None
        exponent = math.frexp(largest)[1]
        scaled = np.ldexp(x, -exponent)
        return cls(tuple(_leaf_squares(_padded(scaled)).tolist()), exponent)

    def __add__(self, other: SumOfSquares) -> SumOfSquares:
        """The sum over both parts, self before other."""
        exponent = max((s.exponent for s in (self, other) if any(s.leaves)), default=0)
        leaves = self._leaves_at(exponent) + other._leaves_at(exponent)
        return SumOfSquares(leaves, exponent)

    def _leaves_at(self, exponent: int) -> tuple[float, ...]:
        if exponent == self.exponent:
            return self.leaves
        return tuple(math.ldexp(leaf, 2 * (self.exponent - exponent)) for leaf in self.leaves)

    @property
    def norm(self) -> float:
        """The Euclidean norm; infinite where it exceeds float64."""
        return _ldexp(self._scaled_norm, self.exponent)

    @property
    def _scaled_norm(self) -> float:
        return math.sqrt(math.fsum(self.leaves))

    def relative_to(self, reference: SumOfSquares) -> float:
        """The ratio of the norms; infinite where it exceeds float64. `reference` is not 0."""
        ratio = self._scaled_norm / reference._scaled_norm
        return _ldexp(ratio, self.exponent - reference.exponent)

    def log10_relative_to(self, reference: SumOfSquares) -> float:
        """The decimal logarithm of the ratio of the norms, whatever its size. Neither is 0."""
        ratio = self.relative_to(reference)
        if 1e-300 < ratio < math.inf:
            return math.log10(ratio)
        ratio = self._scaled_norm / reference._scaled_norm
        return math.log10(ratio) + (self.exponent - reference.exponent) * math.log10(2.0)


@dataclass(frozen=True, slots=True)
class PairSums:
    """What one pass over a and b leaves behind: d is b - a, taken in float64.

    A complex tensor counts real and imaginary parts as two numbers. Where either side holds a NaN
    or an infinity the counts say so and the sums are without meaning.
    """

    elements: int = 0
    changed: int = 0
    non_finite_a: int = 0
    non_finite_b: int = 0
    max_abs_a: float = 0.0
    max_abs_difference: float = 0.0
    a: SumOfSquares = SumOfSquares()
    b: SumOfSquares = SumOfSquares()
    difference: SumOfSquares = SumOfSquares()

    @classmethod
    def of(cls, a: NDArray[Any], b: NDArray[Any], work: Workspace | None = None) -> Self:
        """The sums of two equally long 1-D arrays of floats that begin at a leaf.

        `work` holds the float64 copies; give the same one again to save its allocation.
        """
        x, y = (work or Workspace()).load(a, b)
        changed = int(np.count_nonzero(a != b))
        squares_a, squares_b = SumOfSquares.of(x), SumOfSquares.of(y)
        if squares_a is None or squares_b is None:
            return cls(a.size, changed, _non_finite(a), _non_finite(b))
        with np.errstate(over="ignore"):
            np.subtract(y, x, out=y)
        is_complex = np.iscomplexobj(a) or np.iscomplexobj(b)
        return cls(
            elements=a.size,
            changed=changed,
            max_abs_a=_largest(x, is_complex),
            max_abs_difference=_largest(y, is_complex),
            a=squares_a,
            b=squares_b,
            difference=SumOfSquares.of(y) or _halved_difference(x, b),
        )

    def __add__(self, other: PairSums) -> PairSums:
        """The sums of both parts, self before other."""
        return PairSums(
            elements=self.elements + other.elements,
            changed=self.changed + other.changed,
            non_finite_a=self.non_finite_a + other.non_finite_a,
            non_finite_b=self.non_finite_b + other.non_finite_b,
            max_abs_a=max(self.max_abs_a, other.max_abs_a),
            max_abs_difference=max(self.max_abs_difference, other.max_abs_difference),
            a=self.a + other.a,
            b=self.b + other.b,
            difference=self.difference + other.difference,
        )

    @property
    def finite(self) -> bool:
        """Whether every element on both sides is a number."""
        return self.non_finite_a == 0 and self.non_finite_b == 0


@dataclass(slots=True)
class Workspace:
    """Two reused float64 buffers, one thread's own."""

    _x: Floats = field(default_factory=lambda: np.empty(0))
    _y: Floats = field(default_factory=lambda: np.empty(0))

    def load(self, a: NDArray[Any], b: NDArray[Any]) -> tuple[Floats, Floats]:
        """Float64 copies of a and b; complex numbers as twice as many reals."""
        if a.shape != b.shape or a.ndim != 1:
            raise ValueError(f"expected two equally long 1-D arrays, got {a.shape} and {b.shape}")
        if np.iscomplexobj(a) or np.iscomplexobj(b):
            a, b = (z.astype(np.complex128, copy=False).view(np.float64) for z in (a, b))
        if self._x.size < a.size:
            self._x, self._y = np.empty(a.size), np.empty(a.size)
        x, y = self._x[: a.size], self._y[: a.size]
        with np.errstate(invalid="ignore"):  # a signalling NaN; it is counted, not warned of
            x[:], y[:] = a, b
        return x, y


def _largest(difference: Floats, is_complex: bool) -> float:
    """The largest modulus, 0 of nothing; infinite where it exceeds float64."""
    if not difference.size:
        return 0.0
    if is_complex:
        with np.errstate(over="ignore"):
            return float(np.abs(difference.view(np.complex128)).max())
    return max(float(difference.max()), -float(difference.min()))


def _halved_difference(x: Floats, b: NDArray[Any]) -> SumOfSquares:
    """The squares of b - x where that exceeds float64, though both sides are finite."""
    _, y = Workspace().load(b, b)
    half = SumOfSquares.of(0.5 * y - 0.5 * x)
    assert half is not None
    return SumOfSquares(half.leaves, half.exponent + 1)


def _ldexp(x: float, exponent: int) -> float:
    try:
        return math.ldexp(x, exponent)
    except OverflowError:
        return math.inf


def _padded(x: Floats) -> Floats:
    """The array with zeros up to a whole number of dot products; a copy only where ragged."""
    ragged = -x.size % DOT_ELEMENTS
    if not ragged:
        return x
    padded = np.zeros(x.size + ragged)  # np.pad takes half of a small tensor's time
    padded[: x.size] = x
    return padded


def _leaf_squares(x: Floats) -> Floats:
    """The sum of squares of each leaf, by dot products of 2^12 elements."""
    rows = x.reshape(-1, DOT_ELEMENTS)
    dots: Floats = np.vecdot(rows, rows)
    if not dots.size:
        return dots
    return np.add.reduceat(dots, np.arange(0, dots.size, LEAF_ELEMENTS // DOT_ELEMENTS))


def _non_finite(x: NDArray[Any]) -> int:
    return int(np.count_nonzero(~np.isfinite(x)))
