"""Radii over draws: their mean, its confidence interval, and the ratio of two networks' radii."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from netdistance.probes.crossing import LEAST, MOST, Tried, crossing
from netdistance.quantities import Estimate, Quantity, Skipped
from netdistance.report.wording import count, percent

CONFIDENCE = 0.95


def mean_radius(radii: Sequence[float]) -> Quantity:
    """The geometric mean of radii over draws, its standard error to first order.

    Skipped where a draw has no radius: a mean of the others would be one of the shorter.
    """
    draws = len(radii)
    if beyond := sum(map(math.isinf, radii)):
        where = "" if beyond == draws else f" in {beyond} of {count(draws, 'draw')}"
        return Skipped(f"not reached up to {100 * MOST:.0f}%{where}")
    if within := sum(radius == 0.0 for radius in radii):
        where = "" if within == draws else f" in {within} of {count(draws, 'draw')}"
        return Skipped(f"fails at {percent(LEAST)}, the smallest level tried, already{where}")
    return _geometric([math.log(radius) for radius in radii])


def mean_ratio(radii_a: Sequence[float], radii_b: Sequence[float]) -> Quantity:
    """The geometric mean of b's radius over a's, draw by draw: both have the same draws."""
    for side, radii in (("a", radii_a), ("b", radii_b)):
        if isinstance(mean := mean_radius(radii), Skipped):
            return Skipped(f"the radius of {side}: {mean.reason}")
    pairs = zip(radii_a, radii_b, strict=True)
    return _geometric([math.log(b / a) for a, b in pairs])


def interval(mean: Quantity, draws: int) -> dict[str, float]:
    """The 95% confidence interval of a geometric mean over draws; none where it has no number.

    By Student's t of the logarithms: exact where they are normal.
    """
    if not isinstance(mean, Estimate) or draws < 2:
        return {}
    factor = math.exp(student_quantile(draws - 1) * mean.stderr / mean.value)
    return {"lower_95": mean.value / factor, "upper_95": mean.value * factor}


def student_quantile(degrees: int) -> float:
    """The t that Student's |T| of so many degrees of freedom exceeds with probability 5%.

    >>> [round(student_quantile(degrees), 3) for degrees in (1, 3, 15)]
    [12.706, 3.182, 2.131]
    """

    def excess(t: float) -> float:
        return _student_inside(t, degrees) - CONFIDENCE

    low, high = 1.0, 20.0
    return crossing(excess, Tried(low, excess(low)), Tried(high, excess(high)), 1e-9)


def _student_inside(t: float, degrees: int) -> float:
    """P(|T| <= t): Abramowitz and Stegun 26.7.3 and 26.7.4."""
    angle = math.atan2(t, math.sqrt(degrees))
    cosine, odd = math.cos(angle), degrees % 2
    term, total = (cosine if odd else 1.0), 0.0
    for power in range(odd, degrees - 1, 2):
        total += term
        term *= cosine**2 * (power + 1) / (power + 2)
    total *= math.sin(angle)
    return 2.0 / math.pi * (angle + total) if odd else total


def spread(radii: Sequence[float]) -> dict[str, float]:
    """The smallest, the median and the largest over draws, where they are known."""
    ordered = sorted(radii)
    places = {"0.0": 0, "0.5": (len(ordered) - 1) // 2, "1.0": len(ordered) - 1}
    return {name: ordered[at] for name, at in places.items() if 0.0 < ordered[at] < math.inf}


def _geometric(logarithms: Sequence[float]) -> Estimate:
    value = math.exp(fmean(logarithms))
    error = stdev(logarithms) / len(logarithms) ** 0.5 if len(logarithms) > 1 else 0.0
    return Estimate(value, value * error)
