"""How measures and layers are told: units, the worst first, reasons once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netdistance import render_text
from netdistance.quantities import Estimate, Exact, Skipped
from netdistance.report.document import DeviationRow, Report
from netdistance.report.layout import COLUMNS
from netdistance.report.output_text import (
    effect_columns,
    effect_lines,
    measure_cells,
    output_lines,
    told_layers,
)
from tests.unit.report.case_reports import LONG, comparison, with_layers


def words(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


@pytest.mark.parametrize(
    ("measure", "cells"),
    [
        ("relative_output_deviation", ("relative output deviation", "25 ± 1%")),
        ("kl_divergence", ("kl divergence (nats)", "0.25 ± 0.01")),
        ("loss_b", ("loss b (nats)", "0.25 ± 0.01")),
        ("logit_margin_a", ("logit margin a", "0.25 ± 0.01")),
        ("accuracy_a", ("accuracy a", "25 ± 1%")),
    ],
)
def test_only_fractions_are_percentages(measure: str, cells: tuple[str, str]) -> None:
    assert measure_cells(DeviationRow(measure, Estimate(0.25, 0.01))) == cells


def test_measures_of_both_networks_are_a_sentence_and_rows_with_all() -> None:
    report = with_layers("0", "2", "4")
    short = output_lines(report, everything=False)
    assert "a to b: loss 0.25 to 0.25 nats, logit margin 2.5 to 2.5." in words(short)
    assert not any(line.startswith("loss") for line in short)
    long = output_lines(report, everything=True)
    assert sum(line.startswith(("loss", "logit margin")) for line in long) == 4
    assert not any(line.startswith("a to b") for line in long)


def test_a_reason_stands_once() -> None:
    why = Skipped("one output only")
    rows = (DeviationRow("top1_agreement", why), DeviationRow("kl_divergence", why))
    lines = output_lines(replace(with_layers("0"), deviation=rows), everything=False)
    assert words(lines) == "skipped top1 agreement, kl divergence: one output only"


def test_layers_are_told_by_what_they_did_alone() -> None:
    report = with_layers(*LONG[:4])
    alone = {r.layer: r.value for r in report.attribution or () if r.scheme == "swap_in"}
    layers = told_layers(report)
    values = [q.value for y in layers if isinstance(q := alone[y.name], Estimate | Exact)]
    assert values == sorted(values, reverse=True)
    assert [y.name for y in told_layers(comparison("x.weight", "y.weight"))] == ["y", "x"]
    assert [y.name for y in told_layers(report, "tensors")] == list(LONG[3::-1])


def test_columns_of_the_layers() -> None:
    report = with_layers("0", "2", "4")
    few = [column.title for column in effect_columns(report, everything=False)]
    assert few == ["activations", "injected", "swap in"]
    many = [column.title for column in effect_columns(report, everything=True)]
    assert many[2:] == ["swap in", "swap out", "telescoping"]
    layer = next(y for y in told_layers(report) if y.name == "2")
    assert [c.text(layer) for c in effect_columns(report, everything=False)] == ["20%", "10%", "0%"]
    assert effect_columns(comparison("0.weight"), everything=True) == ()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0.93, "Layers that moved most also did most: rank correlation 0.93 over 3 layers."),
        (0.5, "says little of doing more: rank correlation 0.50"),
        (-0.2, "Moving most was not doing most: rank correlation -0.20"),
    ],
)
def test_whether_the_cheap_number_told(number: float, said: str) -> None:
    report = with_layers("0", "2", "4")
    rows = (*(report.deviation or ())[:-1], DeviationRow("rank_correlation", Exact(number)))
    assert said in words(effect_lines(replace(report, deviation=rows)))
    none = (DeviationRow("rank_correlation", Skipped("too few")),)
    assert "rank" not in words(effect_lines(replace(report, deviation=none)))


@pytest.mark.parametrize("report", [with_layers("0", "2", "4"), with_layers(*LONG)], ids=[3, 90])
def test_the_text_stays_narrow_and_short(report: Report) -> None:
    lines = render_text(report).splitlines()
    assert max(map(len, lines)) <= COLUMNS
    assert len(lines) <= 48
