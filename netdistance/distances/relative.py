"""The metrics that stream: each a number from the sums of one pair of tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from netdistance.linalg.sign_counts import SignCounts
from netdistance.linalg.sums import PairSums
from netdistance.quantities import Exact, Interval, Quantity, Skipped

# what each norm and ratio of norms is within: the sum of squares of a leaf is within 1e-14
_SUMS = 1e-14
_ANGLE_ERROR = 1e-8


@dataclass(frozen=True, slots=True)
class SumMetric:
    """A metric of a pair of tensors, from streamed sums; a is the reference.

    `of` is given sums that are finite and of floating-point tensors. One that is not default is
    given sums with signs.
    """

    name: str
    unit: str
    source: str
    of: Callable[[PairSums], Quantity]
    default: bool = True


def relative_frobenius(sums: PairSums) -> Quantity:
    """|b - a|_F / |a|_F; 0 where both are zero, skipped where only a is."""
    if not any(sums.difference.leaves):
        return Exact(0.0)
    if not any(sums.a.leaves):
        return Skipped("the reference is zero")
    return _exact(sums.difference.relative_to(sums.a))


def max_abs(sums: PairSums) -> Quantity:
    """max_i |b_i - a_i|, in the unit of the weights."""
    return _exact(sums.max_abs_difference)


def angle_rad(sums: PairSums) -> Quantity:
    """The angle between a and b as vectors, in radians, within 1e-8.

    With r = |b|/|a|, sin^2(angle/2) = (|d|^2/|a|^2 - (r - 1)^2) / 4r, which keeps small angles that
    acos(a.b / |a||b|) loses to cancellation. Where b is nearly a multiple of a, or far from its
    size, this cancels as well: there the sums of a `rescaled` to b's size decide. Without them it
    is the interval that rounding leaves open.
    """
    if not any(sums.difference.leaves):
        return Exact(0.0)
    if not any(sums.a.leaves) or not any(sums.b.leaves):
        return Skipped("the angle to a zero tensor is not defined")
    if sums.rescaled is not None:
        beside = angle_rad(sums.rescaled)
        return (
            Exact(math.pi - beside.value) if _turned(sums) and isinstance(beside, Exact) else beside
        )
    d, r = sums.difference.relative_to(sums.a), sums.b.relative_to(sums.a)
    if not (math.isfinite(d * d) and math.isfinite(r * r) and r > 0.0):
        return Skipped("the norms differ by more than float64 can hold")
    square = (d * d - (r - 1.0) ** 2) / (4.0 * r)
    # d and r are within _SUMS relative of the truth
    error = _SUMS * (2.0 * d * d + 2.0 * r * abs(r - 1.0) + _SUMS * r * r) / (4.0 * r)
    error += 2.0 * _SUMS * abs(square)
    lower, upper = _angle(square - error), _angle(square + error)
    if upper - lower <= _ANGLE_ERROR:
        return Exact(_angle(square))
    return Interval(lower, math.nextafter(upper, math.inf))


def scale_for_angle(sums: PairSums) -> float | None:
    """What a has to be multiplied by for `rescaled` sums, None where its angle is known without."""
    if not (any(sums.a.leaves) and any(sums.b.leaves)):
        return None
    if not isinstance(angle_rad(sums), Interval):
        return None
    ratio = sums.b.relative_to(sums.a)
    return -ratio if _turned(sums) else ratio


def _turned(sums: PairSums) -> bool:
    """Whether b points away from a: |b - a|^2 > |a|^2 + |b|^2."""
    d, r = sums.difference.relative_to(sums.a), sums.b.relative_to(sums.a)
    return d * d > 1.0 + r * r


def _angle(square: float) -> float:
    """The angle whose half has this squared sine, which rounding may have left outside 0 to 1."""
    return 2.0 * math.asin(math.sqrt(min(1.0, max(0.0, square))))


def sqnr_db(sums: PairSums) -> Quantity:
    """The signal-to-quantisation-noise ratio 20 log10(|a| / |d|), in decibels."""
    if not any(sums.difference.leaves):
        return Skipped("identical")
    if not any(sums.a.leaves):
        return Skipped("the reference is zero")
    return Exact(-20.0 * sums.difference.log10_relative_to(sums.a))


def changed_fraction(sums: PairSums) -> Quantity:
    """The fraction of elements whose value differs."""
    return Exact(sums.changed / sums.elements if sums.elements else 0.0)


def sign_flips(sums: PairSums) -> Quantity:
    """The fraction of numbers that are positive on one side and negative on the other."""
    signs = _counted(sums)
    return Exact(signs.flips / signs.numbers if signs.numbers else 0.0)


def sparsity_a(sums: PairSums) -> Quantity:
    """The fraction of elements of a that are zero."""
    return Exact(_counted(sums).zeros_a / sums.elements if sums.elements else 0.0)


def sparsity_b(sums: PairSums) -> Quantity:
    """The fraction of elements of b that are zero."""
    return Exact(_counted(sums).zeros_b / sums.elements if sums.elements else 0.0)


def relative_max(sums: PairSums) -> Quantity:
    """max_i |b_i - a_i| / max_i |a_i|; 0 where both are zero, skipped where only a is."""
    if not sums.max_abs_difference:
        return Exact(0.0)
    if not sums.max_abs_a:
        return Skipped("the reference is zero")
    if not math.isfinite(sums.max_abs_difference):
        return Skipped("the largest difference is more than float64 can hold")
    return _exact(sums.max_abs_difference / sums.max_abs_a)


def _counted(sums: PairSums) -> SignCounts:
    return SignCounts() if sums.signs is None else sums.signs


def _exact(value: float) -> Quantity:
    return Exact(value) if math.isfinite(value) else Skipped("exceeds float64")


SUM_METRICS: tuple[SumMetric, ...] = (
    SumMetric("relative_frobenius", "1", "arXiv 2002.03432, section 3", relative_frobenius),
    SumMetric("max_abs", "unit of the weights", "definition", max_abs),
    SumMetric("angle_rad", "rad", "definition, by the half-angle identity", angle_rad),
    SumMetric("sqnr_db", "dB", "definition", sqnr_db),
    SumMetric("changed_fraction", "1", "definition", changed_fraction),
    SumMetric("sign_flips", "1", "definition", sign_flips, default=False),
    SumMetric("sparsity_a", "1", "definition", sparsity_a, default=False),
    SumMetric("sparsity_b", "1", "definition", sparsity_b, default=False),
    SumMetric("relative_max", "1", "definition", relative_max, default=False),
)
