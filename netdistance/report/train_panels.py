"""Panels of a training comparison: one for each depth, a line for each optimiser."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import FuncFormatter, LogFormatter

from netdistance.quantities import point
from netdistance.report.escape import drawable
from netdistance.report.run_groups import RunGroup, best_learning_rates
from netdistance.report.run_rows import CurvePoint, Growth

# Okabe and Ito's colours, told apart by colour-blind readers; marker and dashes tell them apart in
# grey as well
_STYLES = (
    ("#0072B2", "o", "-"),
    ("#D55E00", "s", "--"),
    ("#009E73", "^", "-."),
    ("#CC79A7", "D", ":"),
    ("#56B4E9", "v", (0, (5, 1, 1, 1, 1, 1))),
    ("#000000", "P", (0, (1, 3))),
)
LOWEST_LOSS = 1e-12  # where a logarithmic axis ends: a loss of 0 is drawn here
_TOP = 0.96  # diverged runs, in the axes' own units


class _PlainLogFormatter(LogFormatter):
    """The labels that matplotlib would write on a logarithmic axis, but 0.6 instead of 6e-01."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


Measure = Callable[[CurvePoint], float | None]


def depths_of(groups: Sequence[RunGroup]) -> list[int]:
    """The depths in the order of their first runs."""
    return list(dict.fromkeys(group.depth for group in groups))


def style_of(groups: Sequence[RunGroup], optimizer: str) -> dict[str, Any]:
    """Colour, marker, dashes and label of an optimiser: the same in every panel."""
    names = list(dict.fromkeys(group.optimizer for group in groups))
    color, marker, dashes = _STYLES[names.index(optimizer) % len(_STYLES)]
    shown = drawable(optimizer, 28)
    # matplotlib would leave a name with a leading underscore out of the legend
    label = f" {shown}" if shown.startswith("_") else shown
    return {"color": color, "marker": marker, "linestyle": dashes, "label": label}


def panels(
    place: FigureBase,
    groups: Sequence[RunGroup],
    ylabels: Sequence[str],
    draw: Callable[[Axes, list[RunGroup], int], None],
) -> None:
    """A row of panels for each label, a column for each depth; `draw` is told which row it is."""
    depths = depths_of(groups)
    grid = place.subplots(len(ylabels), len(depths), sharex=True, sharey="row", squeeze=False)
    for row, ylabel in enumerate(ylabels):
        for axes, depth in zip(grid[row], depths, strict=True):
            draw(axes, [group for group in groups if group.depth == depth], row)
            if row == 0:
                layers = f"{depth} hidden layer{'' if depth == 1 else 's'}"
                axes.set_title(layers, fontsize="medium")
            axes.label_outer()
            _plain(axes)
        grid[row][0].set_ylabel(ylabel)
    legend(place, grid[0])


def legend(place: FigureBase, row: Sequence[Axes]) -> None:
    """One legend for all panels, below them: every optimiser once."""
    found: dict[str, Any] = {}
    for axes in row:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        names = list(found)
        place.legend(
            [found[name] for name in names],
            names,
            loc="outside lower center",
            ncols=4,
            frameon=False,
        )


def draw_final_losses(axes: Axes, groups: list[RunGroup], of: Sequence[RunGroup]) -> None:
    """Final training loss against the learning rate; a row of crosses where runs diverged."""
    names = list(dict.fromkeys(group.optimizer for group in of))
    for index, name in enumerate(names):
        members = sorted((g for g in groups if g.optimizer == name), key=lambda g: g.lr)
        drawn = {g.lr: losses for g in members if (losses := _final_losses(g))}
        if members:
            _with_bars(axes, drawn, style_of(of, name))
        # a row of their own per optimiser, so that crosses at one rate do not hide each other
        lost = [g.lr for g in members if g.diverged]
        if lost:
            axes.plot(
                lost,
                [_TOP - 0.05 * index] * len(lost),
                transform=axes.get_xaxis_transform(),
                color=style_of(of, name)["color"],
                marker="x",
                markersize=7,
                markeredgewidth=1.8,
                linestyle="none",
            )
    axes.set(xscale="log", xlabel="learning rate (× diverged)")
    log_scale(axes)
    axes.margins(x=0.08, y=0.25)


def draw_over_depth(axes: Axes, groups: Sequence[RunGroup], key: str) -> None:
    """A final value against depth, at each optimiser's best learning rate for that depth."""
    best = best_learning_rates(groups)
    for name in dict.fromkeys(group.optimizer for group in groups):
        members = sorted((g for g in best if g.optimizer == name), key=lambda g: g.depth)
        drawn = {float(g.depth): values for g in members if (values := g.final(key))}
        _with_bars(axes, drawn, style_of(groups, name))
    depths = sorted(depths_of(groups))
    if depths[-1] >= 10 * depths[0]:
        axes.set_xscale("log")
    axes.set_xticks(depths, [str(depth) for depth in depths])
    axes.minorticks_off()
    axes.set_xlabel("hidden layers")
    _plain(axes)


def draw_curves(
    axes: Axes,
    groups: list[RunGroup],
    of: Sequence[RunGroup],
    measure: Measure,
    *,
    others: bool,
    **style: Any,
) -> None:
    """A measure over the steps at the best learning rate, with all seeds; thin at `others`."""
    best = best_learning_rates(groups)
    for group in groups if others else best:
        looks = {**style_of(of, group.optimizer), "marker": "none", **style}
        series = group.along(measure)
        means = [statistics.fmean(values) for values in series.values()]
        if group not in best:
            thin = {**looks, "label": "_", "linewidth": 0.7, "alpha": 0.45}
            axes.plot(list(series), means, **thin)
            continue
        axes.plot(list(series), means, linewidth=1.8, **looks)
        if len(group.runs) > 1:
            least, most = ([end(v) for v in series.values()] for end in (min, max))
            color = looks["color"]
            axes.fill_between(list(series), least, most, color=color, alpha=0.15, linewidth=0)
    axes.set_xlabel("step")


def draw_growth(
    axes: Axes,
    groups: list[RunGroup],
    of: Sequence[RunGroup],
    growth: Callable[[CurvePoint], Growth],
) -> None:
    """A norm over what it was at the start: mean over the weights, the least and most thin."""
    draw_curves(axes, groups, of, lambda place: point(growth(place).mean), others=False)
    for group in best_learning_rates(groups):
        least = group.along(lambda place: point(growth(place).least))
        most = group.along(lambda place: point(growth(place).most))
        thin = {**style_of(of, group.optimizer), "marker": "none", "label": "_"}
        for series, end in ((least, min), (most, max)):
            ends = [end(values) for values in series.values()]
            axes.plot(list(series), ends, **{**thin, "linewidth": 0.8, "alpha": 0.7})
    axes.axhline(1.0, color="0.6", linewidth=0.8)
    log_scale(axes)
    # 0.5, 1, 2 rather than powers of ten: norms seldom grow by more than a decade
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(_PlainLogFormatter(minor_thresholds=(1.5, 0.6)))


def log_scale(axes: Axes) -> None:
    """A logarithmic y axis, unless nothing above zero was drawn: matplotlib fails on that."""
    drawn = [line.get_ydata() for line in axes.lines if line.get_transform() == axes.transData]
    if any(np.max(np.asarray(heights, float), initial=0.0) > 0.0 for heights in drawn):
        axes.set_yscale("log")


def widen(axes: Axes) -> None:
    """Let a logarithmic y axis span a factor of 4 at least, so that a constant looks like one.

    To be called when all panels are drawn: it ends the scaling of those that share the axis.
    """
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log" and high < 4.0 * low:
        middle = math.sqrt(low) * math.sqrt(high)
        axes.set_ylim(middle / 2.0, middle * 2.0)


def _with_bars(axes: Axes, drawn: Mapping[float, list[float]], style: dict[str, Any]) -> None:
    """The mean at each place; where one has several values, bars from the lowest to the highest."""
    means = [statistics.fmean(values) for values in drawn.values()]
    ends = list(zip(means, drawn.values(), strict=True))
    below = [mean - min(values) for mean, values in ends]
    above = [max(values) - mean for mean, values in ends]
    bars = [below, above] if any(len(values) > 1 for values in drawn.values()) else None
    axes.errorbar(list(drawn), means, yerr=bars, capsize=3, markersize=5, **style)


def _final_losses(group: RunGroup) -> list[float]:
    return [
        max(loss, LOWEST_LOSS)
        for run in group.runs
        if run.status == "finished" and (loss := run.final["train_loss"]) is not None
    ]


def _plain(axes: Axes) -> None:
    axes.grid(visible=True, which="major", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
