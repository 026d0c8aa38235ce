"""What a person reads of `train`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from netdistance.quantities import point
from netdistance.report.document import Report
from netdistance.report.layout import Lines, paragraph, table
from netdistance.report.run_groups import (
    RunGroup,
    are_judged,
    best_learning_rates,
    group_runs,
    mean_and_spread,
)
from netdistance.report.run_rows import CurvePoint

MOVES_HEADER = ("optimizer", "lr", "depth", "trust a step", "largest", "|W|", "σ max", "σ median")


def train_lines(report: Report, everything: bool) -> Lines:
    """The table below the verdict: every optimiser, learning rate and depth, none left out."""
    runs = report.runs or ()
    groups = group_runs(runs, by_depth=True)
    judged = are_judged(runs)
    cells = (run_cells(group, judged=judged) for group in groups)
    lines = ["", *table(run_header(judged=judged), cells), ""]
    seeds = max((len(group.runs) for group in groups), default=1)
    if seeds > 1:
        lines += paragraph(f"± is the standard deviation over {seeds} seeds.")
    lines += paragraph(
        "trust: deep relative trust from the start of a run to its end, a model, not a bound: "
        "product of (1 + change) over its weights, minus 1."
    )
    data = report.provenance.get("data")
    about = paragraph(f"data: {data}.") if isinstance(data, str) and data else []
    return [*lines, *about, *_moves(groups)]


def run_header(*, judged: bool) -> tuple[str, ...]:
    """The titles of `run_cells`."""
    results = ("train loss", "train %", "test %") if judged else ("train loss", "test loss")
    return ("optimizer", "lr", "depth", *results, "trust", "status")


def run_cells(group: RunGroup, *, judged: bool) -> tuple[str, ...]:
    """The row of an optimiser, learning rate and depth: means over its seeds."""
    results = (
        (_percent(group.final("train_accuracy")), _percent(group.final("test_accuracy")))
        if judged
        else (_number(group.final("test_loss")),)
    )
    return (
        group.optimizer,
        f"{group.lr:g}",
        str(group.depth),
        _number(group.final("train_loss")),
        *results,
        _number(group.trust()),
        _status(group),
    )


def moves_cells(group: RunGroup) -> tuple[str, ...]:
    """How far the runs of a group moved their weights: means over its seeds."""
    steps = [value for values in group.along(_step_trust).values() for value in values]
    largest = [value for values in group.along(_largest_step_trust).values() for value in values]
    growths: tuple[Callable[[CurvePoint], float | None], ...] = (
        lambda place: point(place.frobenius_norm.mean),
        lambda place: point(place.largest_singular_value.mean),
        lambda place: point(place.median_singular_value.mean),
    )
    return (
        group.optimizer,
        f"{group.lr:g}",
        str(group.depth),
        _number([mean_and_spread(steps)[0]] if steps else []),
        _number([max(largest)] if largest else []),
        *(_times(group.at_end(of)) for of in growths),
    )


def _moves(groups: Sequence[RunGroup]) -> Lines:
    """The table of steps and norms, at the best learning rate of each optimiser and depth."""
    best = [group for group in best_learning_rates(groups) if any(run.curve for run in group.runs)]
    if not best:
        return []
    note = paragraph(
        "At the best learning rate of each. trust a step: deep relative trust of single steps, "
        "mean and largest of those measured. |W|, σ: Frobenius norm and singular values at the end "
        "over those at the start, geometric mean over the weights."
    )
    return ["", *table(MOVES_HEADER, map(moves_cells, best)), "", *note]


def _step_trust(place: CurvePoint) -> float | None:
    return point(place.step_trust)


def _largest_step_trust(place: CurvePoint) -> float | None:
    return point(place.largest_step_trust)


def _times(growths: Sequence[float]) -> str:
    return f"x {mean_and_spread(growths)[0]:.3g}" if growths else "–"


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
