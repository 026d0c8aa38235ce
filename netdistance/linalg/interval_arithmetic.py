"""Arithmetic on proved intervals of numbers >= 0, every end rounded outward.

One operation in float64 is off by at most half a unit in the last place, so the next float beyond
it is a bound. Confidences below 1 meet by a union bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from netdistance.quantities import Interval


def quotient(top: Interval, bottom: Interval) -> Interval:
    """The interval of t/b for t in `top` and b in `bottom`, all of them at least 0.

    Raises:
        ValueError: `bottom` reaches 0, or the upper end exceeds float64.

    >>> q = quotient(Interval(1.0, 2.0), Interval(4.0, 8.0))
    >>> q.lower <= 0.125 and 0.5 <= q.upper < 0.5 + 1e-15
    True
    """
    if bottom.lower <= 0.0:
        raise ValueError(f"the divisor's lower end is {bottom.lower}: the quotient has no bound")
    upper = 0.0 if top.upper == 0.0 else math.nextafter(top.upper / bottom.lower, math.inf)
    return Interval(below(top.lower / bottom.upper), upper, together((top, bottom)))


def square(side: Interval) -> Interval:
    """The interval of x^2 for x in `side`, x at least 0."""
    return Interval(
        below(side.lower * side.lower),
        math.nextafter(side.upper * side.upper, math.inf) if side.upper else 0.0,
        side.confidence,
    )


def widened(interval: Interval, margin: float) -> Interval:
    """Both ends moved outward by `margin`, the lower one not below 0."""
    lower = max(0.0, interval.lower - margin)
    upper = math.nextafter(interval.upper + margin, math.inf)
    return Interval(below(lower), upper, interval.confidence)


def log10_product(factors: Sequence[Interval]) -> Interval:
    """The decimal logarithm of the product of the factors, which never overflows.

    log10 is off by at most 2 units in the last place and `math.fsum` by one rounding: 8u times the
    sum of sizes covers both.

    Raises:
        ValueError: a factor reaches 0.

    >>> p = log10_product([Interval(100.0, 100.0)] * 200)
    >>> p.lower <= 400.0 <= p.upper, p.upper - p.lower < 1e-11
    (True, True)
    """
    lowers = [math.log10(factor.lower) for factor in factors]
    uppers = [math.log10(factor.upper) for factor in factors]
    slack = 2.0**-50
    lower = math.fsum(lowers) - slack * math.fsum(map(abs, lowers))
    upper = math.fsum(uppers) + slack * math.fsum(map(abs, uppers))
    return Interval(lower, upper, together(factors))


def below(x: float) -> float:
    """The next float towards 0 of a number at least 0."""
    return math.nextafter(x, 0.0)


def together(parts: Sequence[Interval]) -> float:
    """The confidence that all of them hold, by a union bound."""
    doubt = math.fsum(1.0 - part.confidence for part in parts)
    if doubt == 0.0:
        return 1.0
    return below(1.0 - doubt) if doubt < 1.0 else 2.0**-1074
