"""Float64 sums of a pair of tensors, which add: any block size, thread count or machine count.

Sums are kept for each leaf of 2^16 elements, counted from the tensor's start, and added at the end
by `math.fsum`, which is exact and so does not depend on the order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import chain
from operator import add
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from netdistance.linalg.leaves import BATCH_ELEMENTS, LEAF_ELEMENTS, leaf_squares
from netdistance.linalg.sign_counts import SignCounts

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
        with _quiet():
            return cls._of(x)

    @classmethod
    def _of(cls, x: Floats) -> Self | None:
        leaves = leaf_squares(x)
        if not leaves or _SAFE_SQUARES < min(leaves) <= max(leaves) < 1.0 / _SAFE_SQUARES:
            return cls(leaves)
        if len(leaves) == 1:
            return cls._of_leaf(x, leaves)
        parts = [cls._of(x[at : at + LEAF_ELEMENTS]) for at in range(0, x.size, LEAF_ELEMENTS)]
        found = [part for part in parts if part is not None]
        return cls.joined(found) if len(found) == len(parts) else None

    @classmethod
    def _of_leaf(cls, x: Floats, leaves: tuple[float, ...]) -> Self | None:
        largest = max(float(x.max()), -float(x.min()))
        if largest == 0.0:
            return cls(leaves)
        if not math.isfinite(largest):
            return None
        exponent = math.frexp(largest)[1]
        return cls(leaf_squares(np.ldexp(x, -exponent)), exponent)

    def __add__(self, other: SumOfSquares) -> SumOfSquares:
        """The sum over both parts, self before other."""
        return SumOfSquares.joined((self, other))

    @classmethod
    def joined(cls, parts: Sequence[SumOfSquares]) -> Self:
        """The sum over all parts, in their order."""
        exponent = max((part.exponent for part in parts if any(part.leaves)), default=0)
        return cls(tuple(chain.from_iterable(p._leaves_at(exponent) for p in parts)), exponent)

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
    or an infinity the counts say so and the sums are without meaning. `signs` is None where they
    were not counted, `rescaled` where a was not compared at b's size as well.
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
    signs: SignCounts | None = None
    rescaled: PairSums | None = None

    @classmethod
    def of(
        cls,
        a: NDArray[Any],
        b: NDArray[Any],
        work: Workspace | None = None,
        *,
        signs: bool = False,
        scale: float = 1.0,
    ) -> Self:
        """The sums of two equally long 1-D arrays of floats that begin at a leaf.

        `work` holds the float64 copies; give the same one again to save its allocation. `signs`
        also counts signs and zeros. The sums are of `scale` times a, where that is no 1.
        """
        if a.shape != b.shape or a.ndim != 1:
            raise ValueError(f"expected two equally long 1-D arrays, got {a.shape} and {b.shape}")
        work = work or Workspace()
        batches = (slice(at, at + BATCH_ELEMENTS) for at in range(0, a.size, BATCH_ELEMENTS))
        with _quiet():
            return cls.joined(
                [cls._of_batch(a[part], b[part], work, signs, scale) for part in batches]
            )

    @classmethod
    def _of_batch(
        cls, a: NDArray[Any], b: NDArray[Any], work: Workspace, signs: bool, scale: float
    ) -> Self:
        counts = SignCounts.of(a, b) if signs else None
        x, y, differs = work.load(a, b)
        if scale != 1.0:
            np.multiply(x, scale, out=x)
        changed = int(np.count_nonzero(np.not_equal(a, b, out=differs)))
        squares_a, squares_b = SumOfSquares._of(x), SumOfSquares._of(y)
        if squares_a is None or squares_b is None:
            return cls(a.size, changed, _non_finite(a), _non_finite(b), signs=counts)
        np.subtract(y, x, out=y)
        is_complex = x.size > a.size
        return cls(
            elements=a.size,
            changed=changed,
            # float32 is half as much to pass over, and float16 slower
            max_abs_a=_largest(x if is_complex or a.dtype != np.float32 else a, is_complex),
            max_abs_difference=_largest(y, is_complex),
            a=squares_a,
            b=squares_b,
            difference=SumOfSquares._of(y) or _halved_difference(x, b),
            signs=counts,
        )

    def __add__(self, other: PairSums) -> PairSums:
        """The sums of both parts, self before other."""
        return PairSums.joined((self, other))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The sums of all parts, in their order."""
        if len(parts) == 1:
            return parts[0]
        counted = [part.signs for part in parts if part.signs is not None]
        return cls(
            elements=sum(part.elements for part in parts),
            changed=sum(part.changed for part in parts),
            non_finite_a=sum(part.non_finite_a for part in parts),
            non_finite_b=sum(part.non_finite_b for part in parts),
            max_abs_a=max((part.max_abs_a for part in parts), default=0.0),
            max_abs_difference=max((part.max_abs_difference for part in parts), default=0.0),
            a=SumOfSquares.joined([part.a for part in parts]),
            b=SumOfSquares.joined([part.b for part in parts]),
            difference=SumOfSquares.joined([part.difference for part in parts]),
            signs=reduce(add, counted) if counted else None,
        )

    @property
    def finite(self) -> bool:
        """Whether every element on both sides is a number."""
        return self.non_finite_a == 0 and self.non_finite_b == 0


@dataclass(slots=True)
class Workspace:
    """Reused buffers for one batch, one thread's own: fresh ones cost a page fault per 4 KiB."""

    _x: Floats = field(default_factory=lambda: np.empty(0))
    _y: Floats = field(default_factory=lambda: np.empty(0))
    _differs: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=np.bool_))

    def load(self, a: NDArray[Any], b: NDArray[Any]) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Float64 copies of a and b, complex numbers as twice as many reals; room for a != b."""
        size = a.size
        if a.dtype.kind == "c" or b.dtype.kind == "c":
            a, b = (z.astype(np.complex128, copy=False).view(np.float64) for z in (a, b))
        if self._x.size < a.size:
            self._x, self._y = np.empty(a.size), np.empty(a.size)
            self._differs = np.empty(a.size, dtype=np.bool_)
        x, y = self._x[: a.size], self._y[: a.size]
        x[:], y[:] = a, b
        return x, y, self._differs[:size]


def _quiet() -> np.errstate:
    """What overflows or vanishes is taken again, scaled; a signalling NaN is counted."""
    return np.errstate(over="ignore", under="ignore", invalid="ignore")


def _largest(difference: NDArray[Any], is_complex: bool) -> float:
    """The largest modulus, 0 of nothing; infinite where it exceeds float64."""
    if not difference.size:
        return 0.0
    if is_complex:
        return float(np.abs(difference.view(np.complex128)).max())
    return max(float(np.maximum.reduce(difference)), -float(np.minimum.reduce(difference)))


def _halved_difference(x: Floats, b: NDArray[Any]) -> SumOfSquares:
    """The squares of b - x where that exceeds float64, though both sides are finite."""
    y = b.astype(np.complex128 if x.size > b.size else np.float64).view(np.float64)
    half = SumOfSquares._of(0.5 * y - 0.5 * x)
    assert half is not None
    return SumOfSquares(half.leaves, half.exponent + 1)


def _ldexp(x: float, exponent: int) -> float:
    try:
        return math.ldexp(x, exponent)
    except OverflowError:
        return math.inf


def _non_finite(x: NDArray[Any]) -> int:
    return int(np.count_nonzero(~np.isfinite(x)))
