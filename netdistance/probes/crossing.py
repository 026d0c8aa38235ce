"""Where a function of a level first becomes positive: a scan upwards, then a root finder."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

# below it float32 hardly holds noise beside the weights; at ten times their size they are lost
LEAST, MOST = 1e-4, 10.0
# levels are tried so far apart before the crossing is closed in on: a factor of 1.78
PER_DECADE = 4
# how near to the crossing a radius is, relative
RESOLUTION = 1e-4

# how far beyond what is allowed a level is: it fails where this is positive. Any increasing scale
# serves; the nearer to linear in the logarithm of the level, the fewer levels are tried
Excess = Callable[[float], float]


class Tried(NamedTuple):
    """A level, and the excess there."""

    level: float
    excess: float

    @property
    def fails(self) -> bool:
        """Whether it is too far."""
        return self.excess > 0.0


def first_crossing(excess: Excess, near: float = LEAST) -> float:
    """The first of the levels tried that fails, closed in on; 0 at once, infinite never.

    The scan begins a decade below `near`, a guess, or at the smallest level where that fails.

    >>> round(first_crossing(lambda level: level - 0.2), 3)
    0.2
    >>> first_crossing(lambda level: 1.0), first_crossing(lambda level: -1.0)
    (0.0, inf)
    """
    steps = round(PER_DECADE * math.log10(MOST / LEAST))
    decades = math.log10(min(max(near, LEAST), MOST) / LEAST) - 1.0
    first = max(0, math.floor(PER_DECADE * decades))
    below: Tried | None = None
    for step in range(first, steps + 1):
        level = LEAST * 10.0 ** (step / PER_DECADE)
        now = Tried(level, excess(level))
        if now.fails and below is not None:
            return crossing(excess, below, now)
        if now.fails:
            return first_crossing(excess) if step else 0.0
        below = now
    return math.inf


def crossing(excess: Excess, holds: Tried, fails: Tried, resolution: float = RESOLUTION) -> float:
    """A level that fails, within `resolution` above one that holds.

    Chandrupatla 1997 (Advances in Engineering Software 28, 145-149), in the logarithm of the level:
    inverse quadratic interpolation where three points allow it, bisection elsewhere. Never
    nearer to an end than 0.45 of the resolution, so that the interval closes from both sides. An
    infinite excess says only on which side it is.
    """
    width = math.log1p(resolution)
    last, other = fails, holds
    share = 0.5  # of the way from the last point to the one on the other side
    while (apart := abs(math.log(other.level / last.level))) > width:
        least = 0.45 * width / apart
        share = min(max(share, least), 1.0 - least)
        level = last.level * (other.level / last.level) ** share
        new = Tried(level, excess(level))
        if new.fails == last.fails:
            last, before = new, last
        else:
            last, other, before = new, last, other
        share = _share(last, other, before)
    return max(last.level, other.level)


def _share(last: Tried, other: Tried, before: Tried) -> float:
    """How far from `last` to `other` the inverse parabola through the three points is 0."""
    (x1, f1), (x2, f2), (x3, f3) = ((math.log(t), f) for t, f in (last, other, before))
    if not all(map(math.isfinite, (f1, f2, f3))) or f3 in (f1, f2):
        return 0.5
    place, height = (x1 - x2) / (x3 - x2), (f1 - f2) / (f3 - f2)
    # inside of this region the inverse parabola is monotone between the ends
    if not (height**2 < place and (1.0 - height) ** 2 < 1.0 - place):
        return 0.5
    linear = f1 / (f2 - f1) * f3 / (f2 - f3)
    return linear + (x3 - x1) / (x2 - x1) * f1 / (f3 - f1) * f2 / (f3 - f2)
