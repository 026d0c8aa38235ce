"""How far each layer moved, beside what rounding alone would do, and what keeping layers gains."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netdistance.quantities import Estimate, Quantity, point
from netdistance.report.audit_rows import AuditRow, KeepRow
from netdistance.report.document import Report
from netdistance.report.escape import abbreviated
from netdistance.report.wording import percent

_MOST_LABELS = 40
_LABEL = 28
# Okabe and Ito's colours; hatches tell the verdicts apart on grey paper
_LOOKS = {
    "rounding": ("#56B4E9", ""),
    "more_than_rounding": ("#D55E00", "//"),
    "broken": ("#000000", "xx"),
    "not_compared": ("none", ".."),
}


def audit_figure(report: Report) -> Figure:
    """A bar for each layer that is not lossless, in the order of names, with its floor as a line.

    A layer without a distance is a dotted bar of full height. Where outputs were measured, a second
    panel has the deviation after keeping each layer of the list.
    """
    rows = [row for row in report.audit or () if row.verdict != "lossless"]
    panels = 2 if report.keep else 1
    width = max(5.6, min(14.0, 0.26 * len(rows) + 2.4))
    figure = Figure(figsize=(width, 3.6 * panels + 1.0), layout="constrained")
    axes = figure.subplots(panels, 1, squeeze=False)[:, 0]
    _draw_layers(axes[0], rows)
    if report.keep:
        _draw_keep(axes[1], report, report.keep)
    for place in axes:
        place.spines[["top", "right"]].set_visible(False)
        place.grid(visible=True, axis="y", color="#dddddd", linewidth=0.6)
        place.set_axisbelow(True)
        place.yaxis.set_major_formatter(lambda value, _: percent(value))
    return figure


def _draw_layers(axes: Axes, rows: Sequence[AuditRow]) -> None:
    distances = [point(row.distance) for row in rows]
    top = max((value for value in distances if value is not None), default=0.0) or 1.0
    for verdict, (color, hatch) in _LOOKS.items():
        places = [place for place, row in enumerate(rows) if row.verdict == verdict]
        if places:
            axes.bar(
                places, [top if distances[p] is None else distances[p] or 0.0 for p in places],
                color=color, hatch=hatch, edgecolor="#999999", linewidth=0.5,
                label=verdict.replace("_", " "),
            )  # fmt: skip
    floors = [(p, f) for p, row in enumerate(rows) if (f := _number(row.floor)) is not None]
    axes.hlines(
        [floor for _, floor in floors], [p - 0.45 for p, _ in floors],
        [p + 0.45 for p, _ in floors], color="#000000", linewidth=1.6,
        label="what rounding does",
    )  # fmt: skip
    step = max(1, -(-len(rows) // _MOST_LABELS))
    axes.set_xticks(
        range(0, len(rows), step), [_shown(row.layer) for row in rows[::step]],
        rotation=90, fontsize=8,
    )  # fmt: skip
    axes.set(ylabel="|b − a| / |a|", ylim=(0.0, 1.08 * top))
    axes.set_xlim(-0.8, max(len(rows), 1) - 0.2)
    axes.set_title("how far each layer moved, and its floor", fontsize=9, loc="left")
    axes.figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)


def _draw_keep(axes: Axes, report: Report, kept: Sequence[KeepRow]) -> None:
    rows = report.deviation or ()
    before = [row.value for row in rows if row.measure == "relative_output_deviation"]
    values = [*before[:1], *(row.deviation for row in kept)]
    names = ["none", *(f"+ {_shown(row.layer)}" for row in kept)][-len(values) :]
    axes.errorbar(
        range(len(values)), [point(q) or 0.0 for q in values],
        yerr=[2.0 * q.stderr if isinstance(q, Estimate) else 0.0 for q in values],
        marker="o", color="#000000", linewidth=1.0, markersize=5, capsize=3,
    )  # fmt: skip
    axes.set_xticks(range(len(values)), names, rotation=20, ha="right", fontsize=8)
    axes.set_ylim(bottom=0.0)
    axes.set(ylabel="mean output deviation")
    axes.set_title(
        "measured: layers kept as they are in a, one after another", fontsize=9, loc="left"
    )


def _shown(name: str) -> str:
    # the numbers in a name tell layers apart, and stay; dollar signs would begin a formula
    return abbreviated(name, _LABEL).replace("$", r"\$")


def _number(value: Quantity | None) -> float | None:
    return None if value is None else point(value)
