"""How far each layer may move, at random and in the worst direction found, on a log axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netdistance.quantities import Estimate, point
from netdistance.report.document import Report
from netdistance.report.escape import shortened
from netdistance.report.width_rows import EVERY_LAYER, WidthRow
from netdistance.report.width_text import sides_of
from netdistance.report.wording import percent

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
    handles = _sides(axes, report, layers)
    axes.set(xscale="log", xlabel=_xlabel(rows[0]))
    axes.xaxis.set_major_formatter(lambda value, _: percent(value))
    axes.set_ylim(len(layers) - 0.5, -0.5)
    step = max(1, -(-len(layers) // _MOST_LABELS))
    names = [EVERY_LAYER if layer is None else shortened(layer, 28) or "''" for layer in layers]
    axes.set_yticks(range(0, len(layers), step), map(_plain, names[::step]), fontsize=8)
    axes.axhline(0.5, color="#999999", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.legend(handles=handles, loc="outside lower center", frameon=False, fontsize=8)
    return figure


def _sides(axes: Axes, report: Report, layers: Sequence[str | None]) -> list[Any]:
    """One network or both, and what the legend says of each."""
    rows = report.width or ()
    if report.against is None:
        return _draw(axes, rows, layers, 0.0, "", *_A)
    a, b = (f"{_plain(shortened(name, 28))}, " for name in sides_of(report))
    drawn = _draw(axes, rows, layers, -0.16, a, *_A)
    return drawn + _draw(axes, report.against.width, layers, 0.16, b, *_B)


def _plain(name: str) -> str:
    """A name that is not typeset as mathematics."""
    return name.replace("$", r"\$")


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
) -> list[Any]:
    """The radii of one network; what has no number leaves its place empty."""
    random = [(layers.index(r.layer) + shift, r) for r in rows if r.directions == "random"]
    for place, row in random:
        low, high = (row.quantiles.get(key, math.nan) for key in ("0.0", "1.0"))
        axes.plot([low, high], [place, place], color=color, linewidth=5, alpha=0.25)
    means = [(p, r, r.radius.value) for p, r in random if isinstance(r.radius, Estimate)]
    bars = axes.errorbar(
        [mean for _, _, mean in means],
        [place for place, _, _ in means],
        xerr=list(zip(*(_errors(row, mean) for _, row, mean in means), strict=True)) or None,
        fmt=marker,
        color=color,
        capsize=3,
        markersize=5,
        label=f"{which}random: mean with its 95% interval; band: all draws",
    )
    worst = [
        (layers.index(r.layer) + shift, value)
        for r in rows
        if r.directions == "worst" and (value := point(r.radius)) is not None
    ]
    (places,) = axes.plot(
        [value for _, value in worst],
        [place for place, _ in worst],
        marker,
        color=color,
        markerfacecolor="white",
        markersize=5,
        label=f"{which}worst found: a shorter one may exist",
    )
    return [bars, places]


def _errors(row: WidthRow, mean: float) -> tuple[float, float]:
    """Down and up to the ends of the 95% interval; a report of before has none."""
    low, high = (row.interval.get(key, mean) for key in ("lower_95", "upper_95"))
    return mean - low, high - mean
