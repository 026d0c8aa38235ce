"""How the gradient of each tensor changes along every move, and the loss slice below it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from netdistance.quantities import Estimate, Quantity, point
from netdistance.report.document import Report
from netdistance.report.gradient_rows import GradientPoint, Move

_PANELS: dict[Move, tuple[str, str]] = {
    "step": ("down the gradient", "relative step of each tensor"),
    "noise": ("random noise", "relative noise in each tensor"),
    "pair": ("along a + t(b - a)", "t"),
}
# from light at the input to dark at the output: one hue that grey paper and colour blindness keep
_DEPTH = LinearSegmentedColormap.from_list("depth", ("#E0A6C6", "#CC79A7", "#47152F"))
# dotted and of the colour that models have in `bound_figure`
_MODEL = {"color": "#D55E00", "linestyle": ":", "linewidth": 2.0}
_ESTIMATE = {"color": "#0072B2", "linestyle": "--", "linewidth": 1.2}
_ALL = {"color": "#000000", "linewidth": 1.8, "marker": "o", "markersize": 4}


def gradients_figure(report: Report) -> Figure:
    """A column for each move: relative gradient change above, loss below, both on log axes."""
    found = {move: [p for p in report.gradients or () if p.move == move] for move in _PANELS}
    moves = [move for move, places in found.items() if places]
    figure = Figure(figsize=(1.0 + 3.5 * len(moves), 6.9), layout="constrained")
    panels = figure.subplots(2, len(moves), sharey="row", sharex="col", squeeze=False)
    for above, below, move in zip(*panels, moves, strict=True):
        title, xlabel = _PANELS[move]
        _draw_changes(above, found[move])
        _draw_losses(below, found[move], report)
        above.set_title(title, fontsize=10)
        below.set_xlabel(xlabel)
        for axes in (above, below):
            axes.set(xscale="log", yscale="log")
            if len(sizes := {place.size for place in found[move]}) == 1:
                # matplotlib's own limits around one place of a log axis are 1e-300 of it apart
                axes.set_xlim(min(sizes) / 10.0, max(sizes) * 10.0)
            axes.minorticks_off()
            axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
            axes.set_axisbelow(True)
    panels[0, 0].set_ylabel("relative change of the gradient")
    panels[1, 0].set_ylabel("mean loss, nats")
    shown = {
        label: handle
        for axes in panels.flat
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        shown.values(), shown.keys(),
        loc="outside lower center", ncols=2, frameon=False, fontsize=8,
    )  # fmt: skip
    return figure


def _draw_changes(axes: Axes, places: Sequence[GradientPoint]) -> None:
    """A thin line for each tensor, and deep relative trust apart from them."""
    for at, style in enumerate(_depth_styles(places)):
        _line(axes, places, [p.tensors[at].gradient_change for p in places], **style)
    trust = [place.trust.value for place in places]
    _line(axes, places, trust, label="modelled: deep relative trust", **_MODEL)
    axes.axhline(1.0, color="#777777", linewidth=0.8)


def _draw_losses(axes: Axes, places: Sequence[GradientPoint], report: Report) -> None:
    """The loss as all tensors move, and as each alone does; what Lemma 1 allows; the start."""
    for at, style in enumerate(_depth_styles(places)):
        alone = [loss for p in places if (loss := p.tensors[at].loss) is not None]
        if alone:
            _line(axes, places, alone, **style)
    label = "measured: all tensors move (noise: mean, 2 standard errors)"
    _line(axes, places, [place.loss for place in places], label=label, **_ALL)
    start = None if report.reference_loss is None else point(report.reference_loss)
    if start is not None:
        lemma = [_sum(start, row.value) for p in places if (row := p.loss_change) is not None]
        if lemma:
            label = "estimated: at most, by Lemma 1 from the sizes tried"
            _line(axes, places, lemma, label=label, **_ESTIMATE)
        axes.axhline(start, color="#777777", linewidth=0.8, label="where it starts, and change 1")


def _sum(start: float, change: Quantity) -> Quantity:
    value = point(change)
    return change if value is None else Estimate(start + value, 0.0)


def _line(
    axes: Axes, places: Sequence[GradientPoint], values: Sequence[Quantity], **style: object
) -> None:
    """What has a number above 0, joined; two standard errors where there are some."""
    kept = [(p.size, q) for p, q in zip(places, values, strict=True) if (point(q) or 0.0) > 0.0]
    if not kept:
        return
    style = {"linewidth": 0.9, **style}
    if len(kept) == 1:
        style.setdefault("marker", ".")
    xs, ys = [size for size, _ in kept], [point(q) or 0.0 for _, q in kept]
    axes.plot(xs, ys, **style)  # type: ignore[arg-type]
    for size, value in kept:
        if isinstance(value, Estimate) and value.stderr:
            less, more = _two_errors(value)
            ends = [value.value - less, value.value + more]
            axes.plot([size, size], ends, color=style["color"], linewidth=0.6)


def _depth_styles(places: Sequence[GradientPoint]) -> list[dict[str, object]]:
    """The shade of each tensor, the first and the last named: those between are between."""
    last = len(places[0].tensors) - 1
    styles: list[dict[str, object]] = [{"color": _DEPTH(i / max(1, last))} for i in range(last + 1)]
    styles[-1]["label"] = "measured: the last tensor"
    styles[0]["label"] = "measured: the first tensor (loss: moved alone)"
    return styles


def _two_errors(mean: Estimate) -> tuple[float, float]:
    """Two standard errors down and up, of the logarithm, so that none reaches 0."""
    factor = math.exp(2.0 * mean.stderr / mean.value)
    return mean.value - mean.value / factor, mean.value * factor - mean.value
