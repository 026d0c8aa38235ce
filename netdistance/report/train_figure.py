"""What a training comparison looks like: each part a figure of its own, and all of them in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from netdistance.quantities import point
from netdistance.report.document import Report
from netdistance.report.run_groups import RunGroup, are_judged, group_runs
from netdistance.report.run_rows import CurvePoint
from netdistance.report.train_panels import (
    LOWEST_LOSS,
    depths_of,
    draw_curves,
    draw_final_losses,
    draw_growth,
    draw_over_depth,
    legend,
    log_scale,
    panels,
    widen,
)

_NORMS = ("frobenius_norm", "largest_singular_value", "median_singular_value")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the figure: its name as a file, its title, and how many rows of panels it takes.

    Its columns are the depths, or two where it is not `by_depth`.
    """

    name: str
    title: str
    rows: int
    draw: Callable[[FigureBase, Sequence[RunGroup]], None]
    applies: Callable[[Sequence[RunGroup]], bool]
    by_depth: bool = True


def train_figure(report: Report) -> Figure:
    """Every part that the runs have, one below another."""
    groups = group_runs(report.runs or (), by_depth=True)
    parts = train_parts(report)
    heights = [_height(part) for part in parts]
    figure = Figure(
        figsize=(max(_width(part, groups) for part in parts), sum(heights)), layout="constrained"
    )
    places = figure.subfigures(len(parts), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, place in zip(parts, places, strict=True):
        _draw(place, part, groups)
    return figure


def train_parts(report: Report) -> tuple[Part, ...]:
    """The parts that this report has something for."""
    groups = group_runs(report.runs or (), by_depth=True)
    return tuple(part for part in TRAIN_PARTS if part.applies(groups))


def part_figure(report: Report, part: Part) -> Figure:
    """One part as a figure of its own."""
    groups = group_runs(report.runs or (), by_depth=True)
    figure = Figure(figsize=(_width(part, groups), _height(part)), layout="constrained")
    _draw(figure, part, groups)
    return figure


def _draw(place: FigureBase, part: Part, groups: Sequence[RunGroup]) -> None:
    place.suptitle(part.title, fontsize="medium", fontweight="bold")
    part.draw(place, groups)


def _width(part: Part, groups: Sequence[RunGroup]) -> float:
    return 1.2 + 3.6 * (max(2, len(depths_of(groups))) if part.by_depth else 2)


def _height(part: Part) -> float:
    return 1.3 + 2.5 * part.rows


def _learning_rates(place: FigureBase, groups: Sequence[RunGroup]) -> None:
    def draw(axes: Axes, members: list[RunGroup], row: int) -> None:
        draw_final_losses(axes, members, groups)

    panels(place, groups, ["final training loss"], draw)


def _depths(place: FigureBase, groups: Sequence[RunGroup]) -> None:
    judged = are_judged([run for group in groups for run in group.runs])
    measure = "accuracy" if judged else "loss"
    both = place.subplots(1, 2, sharey=judged)
    for axes, of in zip(both, ("train", "test"), strict=True):
        draw_over_depth(axes, groups, f"{of}_{measure}")
        axes.set_ylabel(f"final {of} {measure}")
        if not judged:
            log_scale(axes)
    legend(place, both)


def _curves(place: FigureBase, groups: Sequence[RunGroup]) -> None:
    def draw(axes: Axes, members: list[RunGroup], row: int) -> None:
        draw_curves(axes, members, groups, _train_loss, others=True)
        log_scale(axes)

    panels(place, groups, ["training loss"], draw)


def _trust(place: FigureBase, groups: Sequence[RunGroup]) -> None:
    rows: dict[int, Axes] = {}

    def draw(axes: Axes, members: list[RunGroup], row: int) -> None:
        measure = (_step_trust, _trust_from_start)[row]
        draw_curves(axes, members, groups, measure, others=False)
        log_scale(axes)
        rows[row] = axes

    panels(place, groups, ["trust of a step", "trust from the start"], draw)
    for axes in rows.values():
        widen(axes)


def _norms(place: FigureBase, groups: Sequence[RunGroup]) -> None:
    def draw(axes: Axes, members: list[RunGroup], row: int) -> None:
        draw_growth(axes, members, groups, attrgetter(_NORMS[row]))

    panels(place, groups, ["|W| / |W₀|", "σ max / at start", "σ median / at start"], draw)


def _train_loss(place: CurvePoint) -> float | None:
    return None if place.train_loss is None else max(place.train_loss, LOWEST_LOSS)


def _step_trust(place: CurvePoint) -> float | None:
    return _positive(point(place.step_trust))


def _trust_from_start(place: CurvePoint) -> float | None:
    return _positive(point(place.trust_from_start))


def _positive(value: float | None) -> float | None:
    return value if value and value > 0.0 else None


def _have_curves(groups: Sequence[RunGroup]) -> bool:
    return any(run.curve for group in groups for run in group.runs)


def _many_rates(groups: Sequence[RunGroup]) -> bool:
    """Whether an optimiser has two learning rates, or there is nothing else to draw."""
    return len({(g.optimizer, g.lr) for g in groups}) > len({g.optimizer for g in groups}) or not (
        _many_depths(groups) or _have_curves(groups)
    )


def _many_depths(groups: Sequence[RunGroup]) -> bool:
    return len(depths_of(groups)) > 1


TRAIN_PARTS: tuple[Part, ...] = (
    Part("learning-rates", "learning-rate sensitivity", 1, _learning_rates, _many_rates),
    Part(
        "depths",
        "depth, at each optimiser's best learning rate",
        1,
        _depths,
        _many_depths,
        by_depth=False,
    ),
    Part("curves", "training, best learning rate bold", 1, _curves, _have_curves),
    Part("trust", "deep relative trust (a model, not a bound)", 2, _trust, _have_curves),
    Part("norms", "weights over their start: mean; least and most thin", 3, _norms, _have_curves),
)
