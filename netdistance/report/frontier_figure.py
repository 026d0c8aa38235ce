"""Bits per weight against output deviation: one scheme for all, mixtures, and the budget."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netdistance.quantities import Estimate, point
from netdistance.report.audit_rows import AuditRow, FrontierRow
from netdistance.report.document import Report
from netdistance.report.frontier_text import name_of
from netdistance.report.wording import percent

# Okabe and Ito's, safe for colour blindness; shapes tell them apart on grey paper
_MIXED, _UNIFORM, _CHOSEN, _BUDGET = "#0072B2", "#D55E00", "#009E73", "#555555"


def frontier_figure(report: Report) -> Figure:
    """A logarithmic axis of deviation: what has none, as the network as it is, is not drawn.

    Without any, for want of a model, how far the weights of each layer move under each scheme.
    """
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    rows = [row for row in report.frontier or () if (point(row.deviation) or 0.0) > 0.0]
    if not rows:
        _weights(axes, report.audit or ())
        _finish(axes, "|b − a| / |a| of a layer")
        axes.set_title("each layer alone; outputs were not measured", fontsize=9, loc="left")
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
    _finish(axes, "relative output deviation, mean")
    return figure


def _finish(axes: Axes, deviation: str) -> None:
    axes.set(xlabel="bits per weight", ylabel=deviation, yscale="log")
    axes.yaxis.set_major_formatter(lambda value, _: percent(value))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.figure.legend(loc="outside lower center", frameon=False, fontsize=8, ncols=3)


def _weights(axes: Axes, rows: Sequence[AuditRow]) -> None:
    """A point for each layer under each scheme, and each scheme with a mark of its own."""
    schemes = list(dict.fromkeys(row.scheme for row in rows))
    for scheme, mark in zip(schemes, itertools.cycle("os^vDPX*"), strict=False):
        places = [
            (row.bits_per_weight, moved)
            for row in rows
            if row.scheme == scheme and row.bits_per_weight and (moved := point(row.distance))
        ]
        if places:
            axes.plot(
                *zip(*places, strict=True), mark, markersize=5, alpha=0.6,
                label=scheme.replace("$", r"\$"),
            )  # fmt: skip


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
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.7},
        )
