"""Reports of the study train, for the laws over every renderer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from netdistance.quantities import Exact, Quantity, Skipped
from netdistance.report.document import Report, Verdict
from netdistance.report.run_rows import CurvePoint, Growth, RunRow


def curve_point(step: int, known: float | None) -> CurvePoint:
    """A point where every number is `known`, or where none is."""
    number: Quantity = Skipped("<b>lost</b>") if known is None else Exact(known)
    growth = Growth(number, number, number)
    losses = (known, known, known, known)
    return CurvePoint(step, *losses, number, number, number, growth, growth, growth)


def trained(provenance: Mapping[str, object], *optimizers: str) -> Report:
    report = training(provenance, *optimizers)
    curve = (curve_point(0, None), curve_point(20, 0.5), curve_point(40, 0.25))
    runs = tuple(
        replace(run, depth=run.depth + deeper, network="mlp", curve=curve if i % 2 else (curve[0],))
        for i, run in enumerate(report.runs or ())
        for deeper in (0, 2)
    )
    return replace(report, runs=runs, provenance={**provenance, "data": "\x1b[31m <b>red</b>"})


def training(provenance: Mapping[str, object], *optimizers: str) -> Report:
    runs = []
    for i, name in enumerate(optimizers):
        final = {"train_loss": 0.1 + i, "train_accuracy": 0.9, "test_accuracy": 0.8}
        lost = dict.fromkeys(final, None)
        runs += [
            RunRow("board", name, 0.01, 3, 8, 0, "finished", final, Exact(3.0)),
            RunRow("board", name, 0.1, 3, 8, 1, "diverged", lost, Skipped(f"{name} diverged")),
        ]
    return Report(
        study="train",
        provenance=provenance,
        verdict=Verdict("fromage at learning rate 0.01 does best."),
        runs=tuple(runs),
    )
