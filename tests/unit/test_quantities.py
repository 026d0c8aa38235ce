"""The four ways to know a number, and what none of them may hold."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError

import pytest

from netdistance.quantities import Estimate, Exact, Interval, Quantity, Skipped, point, to_json

BAD = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("bad", BAD)
def test_no_quantity_holds_what_is_not_finite(bad: float) -> None:
    for make in (
        lambda: Exact(bad),
        lambda: Interval(bad, 1.0),
        lambda: Interval(0.0, bad),
        lambda: Estimate(bad, 0.0),
        lambda: Estimate(0.0, bad),
    ):
        with pytest.raises(ValueError, match="finite"):
            make()


@pytest.mark.parametrize("confidence", [0.0, -0.1, 1.0001, math.nan])
def test_an_interval_is_not_crossed_and_its_confidence_is_one(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        Interval(0.0, 1.0, confidence)
    with pytest.raises(ValueError, match="crossed"):
        Interval(1.0, 0.5)
    assert Interval(1.0, 1.0).confidence == 1.0


def test_a_standard_error_is_not_negative() -> None:
    with pytest.raises(ValueError, match="stderr"):
        Estimate(1.0, -1e-9)


CASES: list[tuple[Quantity, float | None, dict[str, object]]] = [
    (Exact(-2.0), -2.0, {"kind": "exact", "value": -2.0}),
    (
        Interval(0.0, 3.0, 0.9),
        3.0,
        {"kind": "interval", "lower": 0.0, "upper": 3.0, "confidence": 0.9},
    ),
    (Estimate(1.5, 0.5), 1.5, {"kind": "estimate", "value": 1.5, "stderr": 0.5}),
    (Skipped("why"), None, {"kind": "skipped", "reason": "why"}),
]


@pytest.mark.parametrize(("quantity", "number", "document"), CASES, ids=lambda x: type(x).__name__)
def test_a_quantity_as_a_number_and_as_json(
    quantity: Quantity, number: float | None, document: dict[str, object]
) -> None:
    assert point(quantity) == number
    assert to_json(quantity) == document


def test_a_quantity_does_not_change() -> None:
    for quantity, _, _ in CASES:
        name = quantity.__slots__[0]
        with pytest.raises(FrozenInstanceError):
            setattr(quantity, name, 1.0)
