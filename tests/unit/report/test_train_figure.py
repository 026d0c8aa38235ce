"""What the figure of a training comparison leaves out, and how its axes are labelled."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from netdistance.report.document import Report
from netdistance.report.train_figure import TRAIN_PARTS, part_figure, train_figure, train_parts
from tests.unit.report.train_cases import curve_point, training

CURVE = (curve_point(0, 1.0), curve_point(20, 0.55), curve_point(40, 2.5))


def report_of(*rates: float, seeds: int = 1, depths: tuple[int, ...] = (3,)) -> Report:
    report = training({}, "fromage")
    (first, *_) = report.runs or ()
    runs = (
        replace(first, lr=lr, seed=seed, depth=depth, curve=CURVE)
        for depth in depths
        for lr in rates
        for seed in range(seeds)
    )
    return replace(report, runs=tuple(runs))


def drawn(report: Report, name: str) -> Figure:
    (part,) = (part for part in TRAIN_PARTS if part.name == name)
    figure = part_figure(report, part)
    figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize(
    ("report", "some"),
    [
        (report_of(0.01), False),
        (report_of(0.01, seeds=2, depths=(3, 5)), False),
        (report_of(0.01, 0.1), True),
        (replace(report_of(0.01), runs=tuple((training({}, "sgd").runs or ())[:1])), True),
    ],
    ids=["one", "seeds and depths", "two", "nothing else"],
)
def test_one_learning_rate_has_no_sensitivity(report: Report, some: bool) -> None:
    assert ("learning-rates" in [part.name for part in train_parts(report)]) is some
    assert len(train_figure(report).axes) > 0


def test_norms_are_labelled_in_plain_numbers() -> None:
    axes = drawn(report_of(0.01), "norms").axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels(which="both")]
    assert "0.6" in labels and "1" in labels
    assert not any("e" in label for label in labels)


def test_a_constant_looks_like_one() -> None:
    trust = (curve_point(20, 0.0406), curve_point(40, 0.0407))
    report = report_of(0.01, depths=(3, 5))
    first, second = report.runs or ()
    steady = replace(first, curve=trust)
    low, high = drawn(replace(report, runs=(steady,)), "trust").axes[0].get_ylim()
    assert low < 0.03 < 0.06 < high
    # another depth's panel shares the axis, and is not cut off
    low, high = drawn(replace(report, runs=(steady, second)), "trust").axes[0].get_ylim()
    assert low <= 0.0406 and high >= 2.5


@pytest.mark.parametrize("seeds", [1, 2])
def test_bars_are_drawn_over_seeds_alone(seeds: int) -> None:
    axes = drawn(report_of(0.01, 0.1, seeds=seeds), "learning-rates").axes[0]
    assert [container.has_yerr for container in axes.containers] == [seeds > 1]


def test_a_part_is_as_wide_as_its_columns() -> None:
    report = report_of(0.01, 0.1, depths=(3, 5, 8, 12))
    widths = {name: drawn(report, name).get_figwidth() for name in ("depths", "curves")}
    assert widths["curves"] == train_figure(report).get_figwidth() > 1.5 * widths["depths"]
