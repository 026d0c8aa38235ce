"""How far each layer moved beside its rounding, what keeping layers gains, and what landed."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netdistance.quantities import Estimate, Quantity, point
from netdistance.report.audit_rows import AdapterRow, AuditRow, KeepRow, Landing
from netdistance.report.document import Report
from netdistance.report.escape import drawable
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
_LANDED: dict[Landing, tuple[str, str]] = {
    "landed": ("#009E73", ""),
    "partially": ("#D55E00", "//"),
    "not_at_all": ("#000000", "xx"),
    "not_compared": ("none", ".."),
}


def audit_figure(report: Report) -> Figure:
    """A bar for each layer that is not lossless, in the order of names, with its floor as a line.

    A layer without a distance is a dotted bar of full height. Where outputs were measured, another
    panel has the deviation after keeping each layer of the list; with an adapter, the first has the
    share of its change that is in b.
    """
    rows = [row for row in report.audit or () if row.verdict != "lossless"]
    panels = 1 + bool(report.keep) + bool(report.adapter)
    width = max(5.6, min(14.0, 0.26 * len(rows) + 2.4))
    figure = Figure(figsize=(width, 3.6 * panels + 1.0), layout="constrained")
    axes = list(figure.subplots(panels, 1, squeeze=False)[:, 0])
    if report.adapter:
        _draw_landing(axes[0], report.adapter)
    if report.keep:
        _draw_keep(axes[-1], report, report.keep)
    _draw_layers(axes[1 if report.adapter else 0], rows, adapted=bool(report.adapter))
    for place in axes:
        place.spines[["top", "right"]].set_visible(False)
        place.grid(visible=True, axis="y", color="#dddddd", linewidth=0.6)
        place.set_axisbelow(True)
        place.yaxis.set_major_formatter(lambda value, _: percent(value))
    return figure


def _draw_landing(axes: Axes, rows: Sequence[AdapterRow]) -> None:
    """The share of the change that is there; none is a dotted bar of the whole height."""
    shares = [point(row.share) for row in rows]
    for verdict, (color, hatch) in _LANDED.items():
        places = [place for place, row in enumerate(rows) if row.verdict == verdict]
        if places:
            axes.bar(
                places, [1.0 if shares[p] is None else shares[p] or 0.0 for p in places],
                color=color, hatch=hatch, edgecolor="#999999", linewidth=0.5,
                label=f"adapter: {verdict.replace('_', ' ')}",
            )  # fmt: skip
    axes.axhline(1.0, color="#000000", linestyle=":", linewidth=1.0)
    _name_layers(axes, [row.layer for row in rows])
    axes.set(ylabel="share")
    axes.set_title("share of the adapter's change that is in b", fontsize=9, loc="left")


def _name_layers(axes: Axes, layers: Sequence[str]) -> None:
    step = max(1, -(-len(layers) // _MOST_LABELS))
    axes.set_xticks(
        range(0, len(layers), step), [drawable(name, _LABEL) for name in layers[::step]],
        rotation=90, fontsize=8,
    )  # fmt: skip
    axes.set_xlim(-0.8, max(len(layers), 1) - 0.2)


def _draw_layers(axes: Axes, rows: Sequence[AuditRow], *, adapted: bool) -> None:
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
    _name_layers(axes, [row.layer for row in rows])
    axes.set(ylabel="|b − a| / |a|", ylim=(0.0, 1.08 * top))
    whose = " from a with the adapter added" if adapted else ""
    title = f"how far each layer moved{whose}, and what rounding does"
    axes.set_title(title, fontsize=9, loc="left")
    axes.figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)


def _draw_keep(axes: Axes, report: Report, kept: Sequence[KeepRow]) -> None:
    rows = report.deviation or ()
    before = [row.value for row in rows if row.measure == "relative_output_deviation"]
    values = [*before[:1], *(row.deviation for row in kept)]
    names = ["none", *(f"+ {drawable(row.layer, _LABEL)}" for row in kept)][-len(values) :]
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


def _number(value: Quantity | None) -> float | None:
    return None if value is None else point(value)
