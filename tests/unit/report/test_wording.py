"""Numbers in words: three digits, the right unit, the right plural."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netdistance.quantities import Estimate, Exact, Interval, Quantity, Skipped
from netdistance.report.wording import count, names, percent, quantity, without_error


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [
        (0.0, "0%"),
        (1e-9, "1e-07%"),
        (0.000123456, "0.0123%"),
        (0.01, "1%"),
        (0.0406666, "4.07%"),
        (0.154, "15.4%"),
        (0.9994, "99.9%"),
        (0.9996, "100%"),
        (1.0, "100%"),
        (1.2345, "123%"),
        (9.99, "999%"),
        (9.996, "10x"),
        (12.94, "12.9x"),
        (99.96, "100x"),
        (1234.5, "1234x"),
        (9999.6, "1e+04x"),
        (2.136e7, "2.14e+07x"),
    ],
)
def test_percent(fraction: float, shown: str) -> None:
    assert percent(fraction) == shown


def value_of(shown: str) -> float:
    return float(shown[:-1]) / (100.0 if shown.endswith("%") else 1.0)


@given(st.floats(1e-12, 1e12))
def test_percent_keeps_three_digits(fraction: float) -> None:
    assert value_of(percent(fraction)) == pytest.approx(fraction, rel=5.1e-3)


def test_a_planted_loss_of_digits_is_found() -> None:
    assert value_of("15%") != pytest.approx(0.154, rel=5.1e-3)


@pytest.mark.parametrize(
    ("value", "shown", "bare"),
    [
        (Exact(0.5), "50%", "50%"),
        (Interval(0.0, 0.25), "≤ 25%", "25%"),
        (Estimate(0.1, 0.0), "10%", "10%"),
        (Skipped("why"), "–", "–"),
    ],
)
def test_a_quantity_says_how_it_is_known(value: Quantity, shown: str, bare: str) -> None:
    assert (quantity(value), without_error(value)) == (shown, bare)


def test_an_error_stands_beside_its_number() -> None:
    shown = quantity(Estimate(0.1, 0.01))
    assert shown.startswith("10 ± 1") or shown.startswith("10% ± 1")
    assert without_error(Estimate(0.1, 0.01)) == "10%"


def test_counts() -> None:
    assert [count(n, "tensor") for n in (0, 1, 2)] == ["0 tensors", "1 tensor", "2 tensors"]
    assert count(1_234_567, "input") == "1,234,567 inputs"


def test_names() -> None:
    assert names([]) == ""
    assert names(["a", "b", "c"]) == "a, b, c"
    assert names([str(n) for n in range(2000)]) == "0, 1, 2 and 1,997 more"
    assert names(["", "\x1b", "x" * 100]) == "'', \\x1b, " + "x" * 24 + "…" + "x" * 23
