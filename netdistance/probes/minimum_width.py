"""How far the weights may move in a direction before the loss has risen by a tolerance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from torch import Tensor

from netdistance.probes.mean_loss import Fit, MeanLoss
from netdistance.quantities import Estimate, Quantity, Skipped
from netdistance.report.width_rows import Criterion
from netdistance.report.wording import count, percent

# below it float32 hardly holds noise beside the weights; at ten times their size they are lost
LEAST, MOST = 1e-4, 10.0
# levels are tried so far apart before they are halved between: a factor of 1.78
PER_DECADE = 4
# how near to the crossing a radius is, relative
RESOLUTION = 1e-4

Change = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Minimum:
    """A network at its weights, and what makes a move of them too far."""

    loss: MeanLoss
    before: Fit
    criterion: Criterion
    tolerance: float

    @classmethod
    def of(cls, loss: MeanLoss, criterion: Criterion, tolerance: float) -> Minimum:
        """The minimum, once its fit is known."""
        return cls(loss, loss.at({}, 0.0), criterion, tolerance)

    def fails(self, change: Change, level: float) -> bool:
        """Whether the criterion fails where `level` times the change is added to the weights."""
        now = self.loss.at(change, level)
        if self.criterion == "accuracy":
            lost = (self.before.hits - now.hits) / self.loss.counted
            return lost > self.tolerance + 1e-12  # 10 of 1,000 is no more than 0.01
        return not now.loss - self.before.loss <= self.tolerance  # NaN is too far

    def radius(self, change: Change) -> float:
        """The first level, going up along a ray, at which the criterion fails.

        The loss along a ray need not be monotone: levels are tried from 0.0001 up, four a decade,
        and the first that fails is closed in on by bisection of its logarithm, to 0.01%. A shorter
        excursion between two of these levels is not seen. 0 where the smallest level fails already,
        infinite where none does up to 10.
        """
        return first_crossing(lambda level: self.fails(change, level))


def first_crossing(fails: Callable[[float], bool]) -> float:
    """The first of the tried levels that fails, by bisection; 0 at once, infinite never.

    >>> round(first_crossing(lambda level: level > 0.2), 4)
    0.2
    >>> first_crossing(lambda level: True), first_crossing(lambda level: False)
    (0.0, inf)
    """
    steps = round(PER_DECADE * math.log10(MOST / LEAST))
    low = 0.0
    for step in range(steps + 1):
        level = LEAST * 10.0 ** (step / PER_DECADE)
        if fails(level):
            return bisected(fails, low, level) if low else 0.0
        low = level
    return math.inf


def bisected(
    fails: Callable[[float], bool], low: float, high: float, resolution: float = RESOLUTION
) -> float:
    """A level that fails, near one that does not, between `low`, that holds, and `high`."""
    while high > low * (1.0 + resolution):
        middle = math.sqrt(low * high)
        if fails(middle):
            high = middle
        else:
            low = middle
    return high


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


def spread(radii: Sequence[float]) -> dict[str, float]:
    """The smallest, the median and the largest over draws, where they are known."""
    ordered = sorted(radii)
    places = {"0.0": 0, "0.5": (len(ordered) - 1) // 2, "1.0": len(ordered) - 1}
    return {name: ordered[at] for name, at in places.items() if 0.0 < ordered[at] < math.inf}


def _geometric(logarithms: Sequence[float]) -> Estimate:
    value = math.exp(fmean(logarithms))
    error = stdev(logarithms) / len(logarithms) ** 0.5 if len(logarithms) > 1 else 0.0
    return Estimate(value, value * error)
