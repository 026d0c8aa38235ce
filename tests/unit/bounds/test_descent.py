"""Lemma 2's number by hand, and what has none."""

from __future__ import annotations

import math

import pytest

from netdistance.bounds.descent import (
    Pull,
    loss_change_row,
    max_relative_step,
    max_relative_step_row,
)
from netdistance.quantities import Estimate, Exact, Skipped, point


@pytest.mark.parametrize(
    ("cosine", "weights", "expected"),
    [(1.0, 1, 1.0), (1.0, 2, math.sqrt(2.0) - 1.0), (0.21, 2, 0.1), (1.0, 16, 0.0442737824)],
)
def test_the_largest_step_by_hand(cosine: float, weights: int, expected: float) -> None:
    assert point(max_relative_step(Exact(cosine), weights)) == pytest.approx(expected, rel=1e-8)


def test_no_descent_is_promised_uphill_or_without_weights() -> None:
    for cosine in (0.0, -0.25):
        assert isinstance(found := max_relative_step(Exact(cosine), 3), Skipped)
        assert f"cosine {cosine:.3g}" in found.reason
    assert max_relative_step(Exact(1.0), 0) == Skipped("no weight with two or more axes moves")
    assert max_relative_step(Skipped("no angle"), 3) == Skipped("no angle")


def test_the_row_is_a_model_beside_a_measurement() -> None:
    row = max_relative_step_row(Exact(1.0), 2, measured=Exact(0.25), inputs=7)
    assert (row.name, row.standing, row.inputs) == ("max_relative_step", "modelled", 7)
    assert row.measured == Exact(0.25) and row.assumptions[1] == "over 2 weights"
    assert "a model, not a bound" in row.assumptions[0]


def test_the_change_of_the_loss_by_hand() -> None:
    pulls = [Pull(0.5, -0.25, 0.125), Pull(2.0, 0.5, 0.25), Pull(0.0, 0.0, math.inf)]
    row = loss_change_row(pulls, measured=Exact(0.1), inputs=3)
    assert row.value == Estimate(-0.25 + 0.0625 + 0.5 + 0.5, 0.0)
    assert row.standing == "estimated"
    broken = loss_change_row([Pull(1.0, -1.0, math.inf)], measured=Exact(0.0), inputs=3)
    assert isinstance(broken.value, Skipped) and "not finite" in broken.value.reason
    assert isinstance(
        loss_change_row([Pull(math.nan, 0.0, 1.0)], measured=Exact(0.0), inputs=3).value, Skipped
    )
