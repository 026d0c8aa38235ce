"""Bits per weight against output deviation: one scheme for all, mixtures, and the budget."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netdistance.quantities import Estimate, point
from netdistance.report.audit_rows import FrontierRow
from netdistance.report.document import Report
from netdistance.report.frontier_text import name_of
from netdistance.report.wording import percent

# Okabe and Ito's, safe for colour blindness; shapes tell them apart on grey paper
_MIXED, _UNIFORM, _CHOSEN, _BUDGET = "#0072B2", "#D55E00", "#009E73", "#555555"


def frontier_figure(report: Report) -> Figure:
    """A logarithmic axis of deviation: what has none, as the network as it is, is not drawn."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    rows = [row for row in report.frontier or () if (point(row.deviation) or 0.0) > 0.0]
    if not rows:
        axes.text(0.5, 0.5, "No deviation was measured.", ha="center", va="center")
        axes.set_axis_off()
        return figure
    best = undominated(rows)
    axes.plot([size for size, _ in best], [moved for _, moved in best], color=_MIXED, linewidth=1.2,
              label="frontier, measured")  # fmt: skip
    _mixtures(axes, [row for row in rows if name_of(row.assignment) is None])
    _uniform(axes, [row for row in rows if name_of(row.assignment) is not None])
    for row in rows:
        if row.chosen:
            place = (row.bits_per_weight, point(row.deviation) or 0.0)
            axes.plot(
                *place, "o", markersize=15, markerfacecolor="none", color=_CHOSEN, label="chosen"
            )
    if (limit := _budget(report)) is not None:
        axes.axhline(limit, color=_BUDGET, linestyle=":", label=f"budget {percent(limit)}")
    axes.set(xlabel="bits per weight", ylabel="relative output deviation, mean", yscale="log")
    axes.yaxis.set_major_formatter(lambda value, _: percent(value))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", frameon=False, fontsize=8, ncols=3)
    return figure


def undominated(rows: Sequence[FrontierRow]) -> list[tuple[float, float]]:
    """Bits per weight and deviation of what nothing smaller or equal in size beats, by size."""
    places = sorted((row.bits_per_weight, point(row.deviation) or 0.0) for row in rows)
    least = itertools.accumulate((moved for _, moved in places), min)
    before = itertools.chain((math.inf,), least)
    return [place for place, so_far in zip(places, before, strict=False) if place[1] < so_far]


def _budget(report: Report) -> float | None:
    budget = report.provenance["settings"].get("budget")
    if budget is None:
        return None
    text = str(budget).strip()
    return float(text.removesuffix("%")) / (100.0 if text.endswith("%") else 1.0)


def _mixtures(axes: Axes, rows: list[FrontierRow]) -> None:
    if not rows:
        return
    sizes = [row.bits_per_weight for row in rows]
    values = [point(row.deviation) or 0.0 for row in rows]
    errors = [row.deviation.stderr if isinstance(row.deviation, Estimate) else 0.0 for row in rows]
    axes.errorbar(
        sizes, values, yerr=errors, fmt="o", color=_MIXED, markersize=4, capsize=2,
        label="mixtures, measured",
    )  # fmt: skip
    predicted = [(row.bits_per_weight, value) for row in rows if (value := point(row.predicted))]
    axes.plot(
        [size for size, _ in predicted],
        [value for _, value in predicted],
        "x",
        color=_MIXED,
        markersize=6,
        label="mixtures, predicted",
    )


def _uniform(axes: Axes, rows: list[FrontierRow]) -> None:
    if not rows:
        return
    places = [(row.bits_per_weight, point(row.deviation) or 0.0) for row in rows]
    axes.plot(
        [size for size, _ in places],
        [value for _, value in places],
        "s",
        color=_UNIFORM,
        label="one scheme for every layer",
    )
    for row, place in zip(rows, places, strict=True):
        axes.annotate(
            str(name_of(row.assignment)).replace("$", r"\$"),
            place,
            xytext=(6, 4),
            textcoords="offset points",
            fontsize=8,
        )
