"""How far each layer may move, at random and in the worst direction found, on a log axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netdistance.quantities import Estimate, point
from netdistance.report.document import Report
from netdistance.report.escape import shortened
from netdistance.report.width_rows import WidthRow

_MOST_LABELS = 40
# filled and hollow tell random from worst, circle and square a from b: grey paper loses nothing;
# the colours are Okabe and Ito's, safe for colour blindness
_A, _B = ("#0072B2", "o"), ("#D55E00", "s")


def width_figure(report: Report) -> Figure:
    """A line for each layer, all of them together on top, with one or two networks on it."""
    rows = report.width or ()
    layers = list(dict.fromkeys(row.layer for row in rows))
    height = min(14.0, 0.26 * len(layers) + 1.8)
    figure = Figure(figsize=(6.4, max(2.8, height)), layout="constrained")
    axes = figure.subplots()
    if report.against is None:
        _draw(axes, rows, layers, 0.0, "", *_A)
    else:
        _draw(axes, rows, layers, -0.16, ", a", *_A)
        _draw(axes, report.against.width, layers, 0.16, ", b", *_B)
    axes.set(xscale="log", xlabel=_xlabel(rows[0]))
    axes.set_ylim(len(layers) - 0.5, -0.5)
    step = max(1, -(-len(layers) // _MOST_LABELS))
    names = ["all together" if layer is None else shortened(layer, 28) or "''" for layer in layers]
    labels = [name.replace("$", r"\$") for name in names[::step]]
    axes.set_yticks(range(0, len(layers), step), labels, fontsize=8)
    axes.axhline(0.5, color="#999999", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure


def _xlabel(row: WidthRow) -> str:
    change = "loss rises" if row.criterion == "loss" else "accuracy falls"
    return f"relative move of each tensor at which the {change} by {row.tolerance:g}"


def _draw(
    axes: Axes,
    rows: Sequence[WidthRow],
    layers: Sequence[str | None],
    shift: float,
    which: str,
    color: str,
    marker: str,
) -> None:
    """The radii of one network; what has no number leaves its place empty."""
    random = [(layers.index(r.layer) + shift, r) for r in rows if r.directions == "random"]
    for place, row in random:
        low, high = (row.quantiles.get(key, math.nan) for key in ("0.0", "1.0"))
        axes.plot([low, high], [place, place], color=color, linewidth=0.8)
    means = [(p, r.radius) for p, r in random if isinstance(r.radius, Estimate)]
    axes.errorbar(
        [mean.value for _, mean in means],
        [place for place, _ in means],
        xerr=[[two_errors(mean)[side] for _, mean in means] for side in (0, 1)],
        fmt=marker,
        color=color,
        capsize=3,
        markersize=5,
        label=f"random{which}: mean, 2 standard errors; line: all draws",
    )
    worst = [
        (layers.index(r.layer) + shift, value)
        for r in rows
        if r.directions == "worst" and (value := point(r.radius)) is not None
    ]
    axes.plot(
        [value for _, value in worst],
        [place for place, _ in worst],
        marker,
        color=color,
        markerfacecolor="white",
        markersize=5,
        label=f"worst found{which}: an upper end of the worst",
    )


def two_errors(mean: Estimate) -> tuple[float, float]:
    """Two standard errors down and up, of the logarithm, so that none reaches 0."""
    factor = math.exp(2.0 * mean.stderr / mean.value)
    return mean.value - mean.value / factor, mean.value * factor - mean.value
