"""What a person reads of `train`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netdistance.report.document import Report
from netdistance.report.layout import Lines, paragraph, table
from netdistance.report.run_groups import RunGroup, group_runs, mean_and_spread

RUN_HEADER = ("optimizer", "lr", "depth", "train loss", "train %", "test %", "trust", "status")


def train_lines(report: Report, everything: bool) -> Lines:
    """The table below the verdict: every optimiser, learning rate and depth, none left out."""
    groups = group_runs(report.runs or (), by_depth=True)
    lines = ["", *table(RUN_HEADER, (run_cells(group) for group in groups)), ""]
    seeds = max((len(group.runs) for group in groups), default=1)
    if seeds > 1:
        lines += paragraph(f"± is the standard deviation over {seeds} seeds.")
    return lines + paragraph(
        "trust: deep relative trust from the start of a run to its end, a model, not a bound: "
        "product of (1 + change) over its weights, minus 1."
    )


def run_cells(group: RunGroup) -> tuple[str, ...]:
    """The row of an optimiser, learning rate and depth: means over its seeds."""
    return (
        group.optimizer,
        f"{group.lr:g}",
        str(group.depth),
        _number(group.final("train_loss")),
        _percent(group.final("train_accuracy")),
        _percent(group.final("test_accuracy")),
        _number(group.trust()),
        _status(group),
    )


def _percent(fractions: Sequence[float]) -> str:
    if not fractions:
        return "–"
    mean, spread = mean_and_spread(fractions)
    return f"{100.0 * mean:.1f}" + (f"±{100.0 * spread:.1f}" if len(fractions) > 1 else "")


def _number(values: Sequence[float]) -> str:
    """Mean ± standard deviation, in three digits or a power of ten; – where there is none.

    >>> _number([0.6931]), _number([12.34, 12.5]), _number([1.2e-5]), _number([])
    ('0.693', '12.4±0.1', '1e-05', '–')
    """
    if not values:
        return "–"
    mean, spread = mean_and_spread(values)
    if mean >= 9.5e99:  # wider than its column
        return ">1e99"
    style = ".0e"
    if mean == 0.0 or 5e-4 <= mean < 1e4:
        style = f".{min(3, max(0, 2 - math.floor(math.log10(mean or 1.0))))}f"
    return format(mean, style) + (f"±{spread:{style}}" if len(values) > 1 else "")


def _status(group: RunGroup) -> str:
    if len(group.runs) == 1:
        return group.runs[0].status
    if group.diverged:
        return f"{group.diverged}/{len(group.runs)} diverged"
    return "finished"
