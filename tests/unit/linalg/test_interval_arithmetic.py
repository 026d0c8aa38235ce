"""Interval arithmetic against exact fractions: no end may cross the number it bounds."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from netdistance.linalg.interval_arithmetic import log10_product, quotient, square, widened
from netdistance.quantities import Interval

DRAWS = np.random.default_rng(3).lognormal(sigma=4.0, size=(200, 4)).tolist()


@pytest.mark.parametrize("draw", DRAWS[:50])
def test_quotient_and_square_hold_the_exact_ends(draw: list[float]) -> None:
    low, high, below, above = draw
    top, bottom = Interval(*sorted((low, high))), Interval(*sorted((below, above)))
    found = quotient(top, bottom)
    exact = (
        Fraction(top.lower) / Fraction(bottom.upper),
        Fraction(top.upper) / Fraction(bottom.lower),
    )
    assert Fraction(found.lower) <= exact[0] and exact[1] <= Fraction(found.upper)
    assert found.upper <= float(exact[1]) * (1.0 + 1e-15)
    squared = square(top)
    assert Fraction(squared.lower) <= Fraction(top.lower) ** 2
    assert Fraction(top.upper) ** 2 <= Fraction(squared.upper)


def test_zero_over_something_is_zero() -> None:
    assert quotient(Interval(0.0, 0.0), Interval(1.0, 2.0)) == Interval(0.0, 0.0)
    assert square(Interval(0.0, 0.0)) == Interval(0.0, 0.0)


def test_a_divisor_that_reaches_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="divisor"):
        quotient(Interval(1.0, 1.0), Interval(0.0, 1.0))


def test_widened_holds_both_exact_ends() -> None:
    found = widened(Interval(0.1, 0.3), 0.05)
    assert Fraction(found.lower) <= Fraction(0.1) - Fraction(0.05)
    assert Fraction(found.upper) >= Fraction(0.3) + Fraction(0.05)
    assert widened(Interval(0.1, 0.3), 0.2).lower == 0.0


def test_log10_product_against_many_digits() -> None:
    factors = [value for draw in DRAWS for value in draw]
    found = log10_product([Interval(value, value) for value in factors])
    with mpmath.workdps(60):
        exact = mpmath.fsum(mpmath.log10(mpmath.mpf(value)) for value in factors)
        assert found.lower <= exact <= found.upper
    assert found.upper - found.lower < 1e-10


def test_log10_product_needs_no_float64_product() -> None:
    found = log10_product([Interval(1e300, 1e300)] * 5)
    assert found.lower <= 1500.0 <= found.upper
    with pytest.raises(ValueError):
        log10_product([Interval(0.0, 1.0)])


def test_doubts_add() -> None:
    sure, unsure = Interval(1.0, 1.0), Interval(1.0, 1.0, 0.75)
    assert quotient(sure, sure).confidence == 1.0
    assert quotient(unsure, sure).confidence == math.nextafter(0.75, 0.0)
    assert quotient(unsure, unsure).confidence <= 0.5
    assert log10_product([unsure, unsure]).confidence <= 0.5
