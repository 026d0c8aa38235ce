"""Metrics that need a whole weight at once: proved spectral norms and stable ranks.

A tensor with more than two axes is read as the kernel of a convolution, (c_out, c_in, *k), and its
norm is the operator norm at stride 1 over all input sizes, see `linalg.weight_norm`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdistance.linalg.interval_arithmetic import quotient
from netdistance.linalg.stable_rank import stable_rank
from netdistance.quantities import Exact, Interval, Quantity, Skipped

if TYPE_CHECKING:
    from netdistance.linalg.weight_norm import WeightNorms

# 1 GiB of float32; the arithmetic holds up to four float64 copies
MOST_ELEMENTS = 1 << 28

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class PairNorms:
    """The norms of a and of b - a, or why there are none."""

    a: WeightNorms | Skipped
    change: WeightNorms | Skipped


@dataclass(frozen=True, slots=True)
class MatrixMetric:
    """A metric of a pair of weights that sums cannot give; a is the reference.

    `from_norms` is given norms that several metrics share.
    """

    name: str
    unit: str
    source: str
    from_norms: Callable[[PairNorms], Quantity]

    def of(self, matrix_a: Array, matrix_b: Array) -> Quantity:
        """The metric of two tensors of one shape."""
        return spectral_metrics(matrix_a, matrix_b)[self.name]


def relative_spectral(norms: PairNorms) -> Quantity:
    """|b - a|_2 / |a|_2 as a proved interval; 0 where both are zero, skipped where only a is."""
    a, change = norms.a, norms.change
    if isinstance(change, Skipped):
        return change
    if change.is_zero:
        return Exact(0.0)
    if isinstance(a, Skipped):
        return a
    if a.is_zero:
        return Skipped("the reference is zero")
    return _scaled(quotient(change.operator, a.operator), change.exponent - a.exponent)


def stable_rank_a(norms: PairNorms) -> Quantity:
    """|a|_F^2 / |a|_2^2; skipped where a is zero."""
    return _stable_rank(norms.a, "the reference is zero")


def stable_rank_change(norms: PairNorms) -> Quantity:
    """|b - a|_F^2 / |b - a|_2^2; skipped where nothing moved."""
    return _stable_rank(norms.change, "identical")


def _stable_rank(norms: WeightNorms | Skipped, when_zero: str) -> Quantity:
    if isinstance(norms, Skipped):
        return norms
    return Skipped(when_zero) if norms.is_zero else stable_rank(norms.frobenius, norms.operator)


def _scaled(interval: Interval, exponent: int) -> Quantity:
    if not exponent:
        return interval
    if math.frexp(interval.upper)[1] + exponent > 1024:
        return Skipped("exceeds float64")
    lower, upper = (math.ldexp(end, exponent) for end in (interval.lower, interval.upper))
    ends = math.nextafter(lower, 0.0), math.nextafter(upper, math.inf)
    return Interval(*ends, interval.confidence)


_SOURCE = "Rump 2011 (proved singular values); arXiv 1805.10408 (convolutions)"
MATRIX_METRICS: tuple[MatrixMetric, ...] = (
    MatrixMetric("relative_spectral", "1", _SOURCE, relative_spectral),
    MatrixMetric("stable_rank_a", "1", "Rudelson and Vershynin 2007, section 1.1", stable_rank_a),
    MatrixMetric(
        "stable_rank_change", "1", "Rudelson and Vershynin 2007, section 1.1", stable_rank_change
    ),
)


def spectral_metrics(a: Array, b: Array) -> dict[str, Quantity]:
    """Every matrix metric of two tensors of one shape by name: a number, or skipped and why.

    Proved: a and b are taken as the exact numbers they hold, and the rounding of b - a is inside
    the interval. Cost: two norms, see `linalg.spectral_norm` and `linalg.conv_norm`; a tensor of
    more than 2^28 elements is skipped, for memory.

    >>> found = spectral_metrics(np.eye(2), np.diag([1.0, 1.5]))
    >>> found["relative_spectral"].lower <= 0.5 <= found["relative_spectral"].upper
    True
    """
    reason = _why_without_norms(a, b)
    if reason is not None:
        norms = PairNorms(Skipped(reason), Skipped(reason))
    else:
        norms = PairNorms(_norms(a), _change(a, b))
    return {metric.name: metric.from_norms(norms) for metric in MATRIX_METRICS}


def norm_and_rank(weight: Array) -> tuple[Quantity, Quantity]:
    """The spectral norm and the stable rank of one tensor, proved, or skipped and why."""
    norms = weight_norms(weight)
    rank = _stable_rank(norms, "the tensor is zero")
    if isinstance(norms, Skipped):
        return norms, rank
    try:
        return norms.operator_norm, rank
    except ValueError as error:
        return Skipped(str(error)), rank


def weight_norms(weight: Array) -> WeightNorms | Skipped:
    """The operator norm and the Frobenius norm of one tensor, proved, or skipped and why."""
    reason = why_without_norm(weight)
    return Skipped(reason) if reason else _norms(weight)


def why_without_norm(weight: Array) -> str | None:
    """Why a tensor has no spectral norm here, or None where it has one."""
    if weight.ndim < 2:
        return "has fewer than two axes: a spectral norm is one of a matrix or convolution"
    if not weight.size:
        return "empty: holds no elements"
    if weight.size > MOST_ELEMENTS:
        return too_large(weight.size)
    if weight.dtype.kind != "f":
        return f"entries are {weight.dtype}: a spectral norm is taken of real floating point"
    wrong = weight.size - int(np.count_nonzero(np.isfinite(weight)))
    return f"non-finite elements: {wrong}" if wrong else None


def too_large(elements: int, most: int = MOST_ELEMENTS) -> str:
    """The reason for a tensor of more elements than may be held at once."""
    return f"{elements:,} elements: more than {most:,} need too much memory at once"


def _why_without_norms(a: Array, b: Array) -> str | None:
    if a.shape != b.shape:
        raise ValueError(f"a has shape {a.shape} and b {b.shape}: expected one shape")
    reasons = why_without_norm(a), why_without_norm(b)
    return next((f"in {side}: {why}" for side, why in zip("ab", reasons, strict=True) if why), None)


def _norms(weight: Array) -> WeightNorms | Skipped:
    return _or_why(lambda norms: norms.of(weight))


def _change(a: Array, b: Array) -> WeightNorms | Skipped:
    return _or_why(lambda norms: norms.of_difference(a, b))


def _or_why(compute: Callable[[type[WeightNorms]], WeightNorms]) -> WeightNorms | Skipped:
    # imported here: what compares without --spectral does not pay for the proofs
    from netdistance.linalg.weight_norm import WeightNorms

    try:
        return compute(WeightNorms)
    except ValueError as error:  # beyond float64
        return Skipped(str(error))
