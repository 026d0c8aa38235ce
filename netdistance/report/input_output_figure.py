"""How far outputs move per unit of input: found, near inputs, certified and modelled, in a row."""

from __future__ import annotations

import math

from matplotlib.axes import Axes

from netdistance.quantities import Exact, Interval, Quantity
from netdistance.report.document import InputOutput, Report
from netdistance.report.input_output_text import lipschitz_row

# each has a marker, a line and a name of its own: grey paper loses nothing
_FOUND, _JACOBIAN, _CERTIFIED, _MODELLED = "#666666", "#009E73", "#000000", "#D55E00"


def draw_input_output(axes: Axes, report: Report, part: InputOutput) -> None:
    """A line for each number, on one logarithmic axis; a skipped one says so in its place."""
    assert report.sensitivity is not None
    product = report.sensitivity.log10_product
    lines = (
        ("product of norms, modelled", _ends(product), "D", _MODELLED),
        ("every two inputs, certified", _certified(report), "<", _CERTIFIED),
        (f"Jacobian, {part.inputs:,} inputs", _range(part), "o", _JACOBIAN),
        ("largest ratio found", _found(part.found), "v", _FOUND),
    )
    for place, (_, ends, marker, color) in enumerate(lines):
        if ends is None:
            axes.text(
                0.01, place, "skipped", transform=axes.get_yaxis_transform(), va="center",
                fontsize=8, color="#666666",
            )  # fmt: skip
            continue
        axes.plot(ends, [place, place], color=color, linewidth=2.0, solid_capstyle="butt")
        hollow = "white" if marker == "D" else color
        axes.plot(ends[1], place, marker, color=color, markerfacecolor=hollow, markersize=6)
    axes.set_yticks(range(len(lines)), [label for label, *_ in lines], fontsize=8)
    axes.set_ylim(-0.6, len(lines) - 0.4)
    axes.set_xlabel("log10 of outputs moved per unit of input", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)


def _certified(report: Report) -> tuple[float, float] | None:
    """The upper end alone: the lower one is what was found."""
    log10 = lipschitz_row(report).log10
    return (log10.upper, log10.upper) if isinstance(log10, Interval) else None


def _ends(log10: Quantity) -> tuple[float, float] | None:
    return (log10.lower, log10.upper) if isinstance(log10, Interval) else None


def _range(part: InputOutput) -> tuple[float, float] | None:
    """From the smallest of the inputs' norms to the largest."""
    smallest = part.jacobian_quantiles.get("0.0", 0.0)
    if not isinstance(part.jacobian, Interval) or smallest <= 0.0:
        return None
    return math.log10(smallest), math.log10(part.jacobian.upper)


def _found(found: Quantity) -> tuple[float, float] | None:
    if not isinstance(found, Exact) or found.value <= 0.0:
        return None
    return math.log10(found.value), math.log10(found.value)
