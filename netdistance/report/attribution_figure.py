"""What each layer did, in network order: how its activations moved, and what the outputs owe it."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from netdistance.quantities import Estimate, Exact, Quantity, Skipped, point
from netdistance.report.document import Report
from netdistance.report.escape import abbreviated
from netdistance.report.wording import count, percent

MOST_LABELS = 40
_LABEL = 22
# bar and markers differ in shape and in how dark they are: grey paper and colour blindness lose
# nothing; the colours are Okabe and Ito's
_BAR, _DARK, _MIDDLE = "#56B4E9", "#000000", "#D55E00"


def effects_width(report: Report) -> float:
    """Inches that the panels below need for one place per layer."""
    places = max(len(report.layers or ()), len(_layers_of(report)))
    return max(6.4, min(14.0, 0.24 * places + 2.0))


def effects_height(report: Report) -> float:
    """Inches that one of the panels below needs, with the names under it."""
    names = [row.name for row in report.layers or ()] or _layers_of(report)
    longest = min(_LABEL, max(map(len, names), default=0))
    return 2.6 + (0.075 * longest if _stands_upright(names) else 0.2)


def draw_activations(axes: Axes, report: Report) -> None:
    """A bar for what each layer's own change injects, a dot for how far its activations moved.

    A layer with a reason instead of a number has a cross on the axis.
    """
    rows = report.layers or ()
    places = range(len(rows))
    injected = [point(row.injected) for row in rows]
    axes.bar(
        places, [value or 0.0 for value in injected],
        color=_BAR, edgecolor="white", hatch="//", label="injected by the layer's own change",
    )  # fmt: skip
    _points(
        axes, [row.relative_activation for row in rows], "o", _DARK, "moved in all", joined=True
    )
    missing = [i for i in places if isinstance(rows[i].relative_activation, Skipped)]
    if missing:
        axes.plot(
            missing, [0.0] * len(missing), "x", color="#777777", zorder=4, clip_on=False,
            label="skipped",
        )  # fmt: skip
    _name(axes, [row.name for row in rows])
    axes.set(ylabel="relative change of\nthe activations")
    axes.set_ylim(bottom=0.0)
    _finish(axes, "activations of each layer, in the order of calls")


def draw_attribution(axes: Axes, report: Report) -> None:
    """A bar for each layer's telescoping value; markers for the exchange of the layer alone."""
    layers = _layers_of(report)
    found = {
        scheme: {row.layer: row.value for row in report.attribution or () if row.scheme == scheme}
        for scheme in ("telescoping", "swap_in", "swap_out")
    }
    none = Skipped("not in the report")
    steps, alone, back = ([of.get(name, none) for name in layers] for of in found.values())
    axes.bar(
        range(len(layers)), [point(q) or 0.0 for q in steps], yerr=[_error(q) for q in steps],
        color=_BAR, edgecolor="white", hatch="..", ecolor="#777777",
        label="telescoping: bars that add up",
    )  # fmt: skip
    _points(axes, alone, "o", _DARK, "swap in: a with b's layer")
    _points(axes, back, "v", _MIDDLE, "swap out: taken back by a's")
    axes.axhline(0.0, color="#777777", linewidth=0.8)
    _name(axes, layers)
    axes.set(ylabel="relative deviation\nof the outputs")
    values = [point(q) for q in steps]
    total = sum(value for value in values if value is not None)
    inputs = count(report.attribution[0].inputs, "input") if report.attribution else ""
    _finish(axes, f"what each layer adds: {percent(total)} in all, on the first {inputs}")


def _layers_of(report: Report) -> list[str]:
    """The layers that were exchanged, each once, in network order; one that stayed has 0."""
    known = (
        row
        for row in report.attribution or ()
        if not isinstance(row.value, Skipped) and row.value != Exact(0.0)
    )
    return list(dict.fromkeys(row.layer for row in known))


def _points(
    axes: Axes,
    values: Sequence[Quantity],
    marker: str,
    color: str,
    label: str,
    *,
    joined: bool = False,
) -> None:
    kept = [(i, number) for i, q in enumerate(values) if (number := point(q)) is not None]
    axes.plot(
        [i for i, _ in kept], [number for _, number in kept],
        marker=marker, linestyle="-" if joined else "none", linewidth=0.8, markersize=5,
        color=color, markerfacecolor=color if marker == "o" else "white", label=label, zorder=3,
    )  # fmt: skip


def _error(value: Quantity) -> float:
    return 2.0 * value.stderr if isinstance(value, Estimate) else 0.0


def _name(axes: Axes, names: Sequence[str]) -> None:
    step = max(1, -(-len(names) // MOST_LABELS))
    # the numbers in a name tell layers apart, and stay; dollar signs would begin a formula
    shown = [abbreviated(name, _LABEL).replace("$", r"\$") for name in names[::step]]
    long = _stands_upright(names)
    axes.set_xticks(
        range(0, len(names), step), shown, rotation=90 if long else 0, fontsize=8,
    )  # fmt: skip
    axes.set_xlim(-0.6, max(len(names), 1) - 0.4)


def _stands_upright(names: Sequence[str]) -> bool:
    return max(map(len, names), default=0) > 3 or len(names) > 20


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.yaxis.set_major_formatter(lambda value, _: percent(value))
    handles, labels = axes.get_legend_handles_labels()
    axes.figure.legend(
        handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8,
    )  # fmt: skip
