"""What the first line of `gradients` says, and what its tables mark and leave out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netdistance.quantities import Exact, Quantity, Skipped
from netdistance.report.document import Report
from netdistance.report.gradients_text import gradients_verdict
from netdistance.report.text import render_text
from tests.unit.report.gradients_cases import gradients

PLACE = {"files": []}


def with_measured(report: Report, value: Quantity) -> Report:
    assert report.descent is not None
    first, *others = report.descent
    row = replace(first.max_relative_step, measured=value)
    return replace(report, descent=(replace(first, bounds=(row,)), *others))


def test_the_verdict_says_how_far_what_broke_and_that_the_model_was_exceeded() -> None:
    assert gradients_verdict(gradients(PLACE, "0.weight")) == (
        "Down the gradient the loss was lower up to a step of 2%; Lemma 2 models 40%. The gradient "
        "has broken down at a step of 10%: it changes by 300% in 0.weight. Deep relative trust, a "
        "model of that change, is exceeded in 2 of 4 moves: 300% measured, 10% modelled."
    )


def test_the_smallest_step_tried_may_be_too_far_already() -> None:
    verdict = gradients_verdict(gradients(PLACE, "0.weight", sizes=(0.05, 0.1)))
    assert "broken down at a step of 5% already: it changes by 150% in 0.weight" in verdict


def test_a_gradient_that_holds_is_said_to() -> None:
    verdict = gradients_verdict(gradients(PLACE, "0.weight", sizes=(0.001, 0.01)))
    assert "The gradient changes by at most 30% in 0.weight." in verdict
    assert "was not exceeded" in verdict


@pytest.mark.parametrize("reason", ["the loss is lower up to 1000%", "the loss is no lower"])
def test_a_step_without_a_number_says_why(reason: str) -> None:
    report = with_measured(gradients(PLACE, "0.weight"), Skipped(reason))
    assert gradients_verdict(report).startswith(f"Down the gradient {reason}; Lemma 2 models 40%.")


def test_nothing_measured_is_said() -> None:
    report = gradients(PLACE, "0.weight", change=Skipped("every gradient is zero"))
    expected = "Down the gradient nothing was measured: every gradient is zero."
    assert gradients_verdict(report) == expected


def test_only_what_exceeds_the_model_is_marked() -> None:
    text = render_text(gradients(PLACE, "0.weight"))
    marked = [line.split()[0] for line in text.splitlines() if " ! " in line]
    assert marked == ["10%", "10%"]


def test_the_worst_tensors_come_first_and_the_rest_by_all() -> None:
    names = tuple(f"{i}.weight" for i in range(9))
    report = gradients(PLACE, *names)
    assert report.gradients is not None
    first, *others = report.gradients
    rows = list(first.tensors)
    rows[7] = replace(rows[7], gradient_change=Exact(99.0))
    report = replace(report, gradients=(replace(first, tensors=tuple(rows)), *others))
    text, everything = (render_text(report, everything=e) for e in (False, True))
    shown = text[text.index("of each tensor") :].splitlines()
    assert shown[2].startswith("7.weight  99x")
    assert "(--all: 9 tensors)" in text and "8.weight" not in text
    assert all(name in everything for name in names) and "--all" not in everything
    assert "3.weight at step 0.01 skipped: zero" in text


def test_trust_that_overflows_is_a_power_of_ten() -> None:
    report = gradients(PLACE, "0.weight")
    assert report.gradients is not None
    first, *others = report.gradients
    trust = replace(first.trust, value=Skipped("overflows float64"), log10=Exact(400.0))
    text = render_text(replace(report, gradients=(replace(first, bounds=(trust,)), *others)))
    assert "10^400x" in text and "modelled at step 0.01 skipped: overflows float64" in text
