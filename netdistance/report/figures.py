"""The figure of a report; bounds beside what was measured, on log axes, above what layers did.

Certified curves are solid, estimated dashed, modelled dotted, measurements are points with error
bars: the line style carries the standing, so that grey paper and colour-blind readers lose nothing.
A level with a name is no point of a curve: its bounds are signs, a different one for each standing.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, FigureBase

from netdistance.errors import UsageError
from netdistance.quantities import Estimate, Quantity, point
from netdistance.report.attribution_figure import (
    draw_activations,
    draw_attribution,
    effects_height,
    effects_width,
)
from netdistance.report.document import BoundRow, Report, Standing, SweepPoint
from netdistance.report.escape import drawable
from netdistance.report.layer_figure import layer_figure
from netdistance.report.noise_level import is_named, size_of
from netdistance.report.sections import sections_of
from netdistance.report.sensitivity_figure import sensitivity_figure
from netdistance.report.train_figure import train_figure
from netdistance.report.width_figure import width_figure

# line style, colour, and sign apart from a line, of each standing; the colours are Okabe and Ito's,
# safe for colour blindness
_STYLES: dict[Standing, tuple[str, str, str]] = {
    "certified": ("-", "#000000", "s"),
    "estimated": ("--", "#0072B2", "D"),
    "modelled": (":", "#D55E00", "^"),
}
# of certificates the tightest is the darkest
_SHADES = {
    "norms_certificate": "#B5B5B5",
    "ball_certificate": "#787878",
    "box_certificate": "#787878",
    "known_change_certificate": "#787878",
}
_LABELS = {
    "norms_certificate": "certified: from norms, every input as long",
    "ball_certificate": "certified: from activations",
    "box_certificate": "certified: from activations",
    "known_change_certificate": "certified: from activations",
    "neuron_certificate": "certified: neuron by neuron",
    "first_order_rms": "estimated: first order, root mean square",
    "deep_relative_trust": "modelled: deep relative trust",
}


@dataclass(frozen=True, slots=True)
class _Panel:
    """One pair of axes: bounds and measurements against a level; `apart` are levels with names."""

    title: str
    xlabel: str
    levels: list[float] = field(default_factory=list)
    bounds: list[Sequence[BoundRow]] = field(default_factory=list)
    means: list[Quantity] = field(default_factory=list)
    largest: list[float | None] = field(default_factory=list)
    attacks: list[Quantity] = field(default_factory=list)
    apart: _Apart | None = None


@dataclass(frozen=True, slots=True)
class _Apart:
    """Levels that are no points of a curve, and their names."""

    names: tuple[str, ...]
    panel: _Panel


def has_figure(report: Report) -> bool:
    """Whether there is a figure for the report's study, and something to draw in it."""
    apart = ("thresholds", "pairing", "bounds")
    drawn = (s.name for s in sections_of(report) if s.name.split(".")[0] not in apart)
    return report.study in _FIGURES and any(drawn)


def render_figure(report: Report, kind: str) -> bytes:
    """The report's figure as png, svg or pdf; the same bytes for the same report.

    Raises:
        UsageError: the study has none.
    """
    if report.study not in _FIGURES:
        raise UsageError(f"{report.study} has no figure; leave out --plot")
    figure = _FIGURES[report.study](report) if has_figure(report) else _empty_figure()
    FigureCanvasAgg(figure)
    target = io.BytesIO()
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    # a salt instead of random ids, and text as text: searchable, and the same in every run
    salted = rc_context({"svg.hashsalt": "netdistance", "svg.fonttype": "none"})
    with salted, warnings.catch_warnings():
        # a name may hold any character of any script; what no font has is drawn as a box
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        figure.savefig(target, format=kind, dpi=160, metadata=metadata[kind])
    drawn = target.getvalue()
    return _with_counted_clips(drawn) if kind == "svg" else drawn


def _with_counted_clips(svg: bytes) -> bytes:
    """The ids of clip paths by number: they are hashes, which the layout's last digits enter."""
    found = dict.fromkeys(re.findall(rb'<clipPath id="(p[0-9a-f]{10})"', svg))
    for number, old in enumerate(found):
        svg = svg.replace(old, b"clip%d" % number)
    return svg


def _empty_figure() -> Figure:
    figure = Figure(figsize=(5.0, 1.2))
    figure.text(0.5, 0.5, "This report has nothing to draw.", ha="center", va="center")
    return figure


def bound_versus_actual(panels: Sequence[_Panel]) -> Figure:
    """One panel beside another, sharing the deviation axis and the legend."""
    # one panel has room for one column of the legend
    size = (6.4, 5.4) if len(panels) == 1 else (5.2 * len(panels), 4.6)
    figure = Figure(figsize=size, layout="constrained")
    _draw_panels(figure, panels)
    return figure


def _draw_panels(figure: FigureBase, panels: Sequence[_Panel]) -> None:
    columns = 1 if len(panels) == 1 else 2
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for place, panel in zip(axes, panels, strict=True):
        _draw(place, panel)
    axes[0].set_ylabel("relative deviation of the outputs")
    shown = dict[str, list[Artist]]()
    for place in axes:
        own = dict[str, list[Artist]]()
        for handle, label in zip(*place.get_legend_handles_labels(), strict=True):
            own.setdefault(label, []).append(handle)
        shown = own | shown
    # a curve and a sign of one bound are one entry, drawn over each other;
    # a tuple of artists is one, which matplotlib's stubs do not know
    entries = [tuple(handles) for handles in shown.values()]
    options: dict[str, Any] = {"handles": entries, "labels": list(shown)}
    figure.legend(**options, loc="outside lower center", ncols=columns, frameon=False)


def _draw(axes: Axes, panel: _Panel) -> None:
    _draw_series(axes, panel, joined=True)
    if panel.apart is not None:
        _draw_series(axes, panel.apart.panel, joined=False)
        for name, x in zip(panel.apart.names, panel.apart.panel.levels, strict=True):
            axes.axvline(x, color="#dddddd", linewidth=0.6, zorder=0)
            axes.text(
                x, 0.02, drawable(name, 20),
                rotation="vertical", ha="right", transform=axes.get_xaxis_transform(),
            )  # fmt: skip
    axes.set(xscale="log", yscale="log", title=panel.title, xlabel=panel.xlabel)
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
    axes.axhline(1.0, color="#999999", linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_series(axes: Axes, panel: _Panel, *, joined: bool) -> None:
    for name in dict.fromkeys(row.name for rows in panel.bounds for row in rows):
        _draw_bound(axes, panel, name, joined=joined)
    if panel.attacks:
        _draw_line(
            axes, panel.levels, [point(a) for a in panel.attacks],
            marker="v", color="#666666", linewidth=0.8 if joined else 0.0,
            label="measured: worst found, same inputs",
        )  # fmt: skip
    _draw_line(
        axes, panel.levels, panel.largest,
        marker="x", linestyle="none", color="#009E73", label="measured: largest seen, all inputs",
    )  # fmt: skip
    measured = [(x, q) for x, q in zip(panel.levels, panel.means, strict=True) if point(q)]
    axes.errorbar(
        [x for x, _ in measured],
        [point(q) or 0.0 for _, q in measured],
        yerr=[2.0 * q.stderr if isinstance(q, Estimate) else 0.0 for _, q in measured],
        fmt="o", color="#009E73", capsize=3, zorder=5, label="measured: mean, 2 standard errors",
    )  # fmt: skip


def _draw_bound(axes: Axes, panel: _Panel, name: str, *, joined: bool) -> None:
    rows = [next((r for r in rows if r.name == name), None) for rows in panel.bounds]
    standing = next(row.standing for row in rows if row is not None)
    linestyle, color, sign = _STYLES[standing]
    values = [None if row is None else point(row.value) for row in rows]
    # hollow, so that a measurement behind it is seen
    style = (
        {"linestyle": linestyle, "linewidth": 1.6}
        if joined
        else {"linestyle": "none", "marker": sign, "markerfacecolor": "none"}
    )
    shade = _SHADES.get(name, color)
    _draw_line(axes, panel.levels, values, color=shade, label=_label(rows), **style)


def _label(rows: Sequence[BoundRow | None]) -> str:
    """What a bound is called, and how many inputs it speaks of where that is not all of them."""
    row = next(row for row in rows if row is not None)
    label = _LABELS.get(row.name) or drawable(row.name, 40)
    return label if row.standing == "modelled" else f"{label}, {row.inputs} inputs"


def _draw_line(
    axes: Axes, levels: Sequence[float], values: Sequence[float | None], **style: object
) -> None:
    kept = [(x, y) for x, y in zip(levels, values, strict=True) if y is not None and y > 0.0]
    if kept:
        axes.plot([x for x, _ in kept], [y for _, y in kept], **style)  # type: ignore[arg-type]


def _perturb_figure(report: Report) -> Figure:
    titles = {"weights": "noise on weights only", "all": "noise on all parameters"}
    panels: list[_Panel] = []
    for scope, title in titles.items():
        places = sorted((p for p in report.sweep or () if p.scope == scope), key=size_of)
        named = [place for place in places if is_named(place) and size_of(place)]
        if places:
            panel = _noise_panel(title, [place for place in places if not is_named(place)])
            apart = _Apart(tuple(place.noise for place in named), _noise_panel("", named))
            if named:
                xlabel = f"{panel.xlabel} (by name: the most in one layer)"
                panel = replace(panel, xlabel=xlabel, apart=apart)
            panels.append(panel)
    return bound_versus_actual(panels)


def _noise_panel(title: str, places: Sequence[SweepPoint]) -> _Panel:
    return _Panel(
        title=title,
        xlabel="relative noise in each layer",
        levels=[size_of(place) for place in places],
        bounds=[place.bounds for place in places],
        means=[place.deviation.mean for place in places],
        largest=[place.deviation.quantiles.get("1.0") for place in places],
        attacks=[place.attack for place in places],
    )


def _compare_figure(report: Report) -> Figure:
    if not report.path:
        return layer_figure(report)
    trust = [next(r for r in p.bounds if r.name == "deep_relative_trust") for p in report.path]
    panel = _Panel(
        title="along a + t(b - a)",
        xlabel="t",
        levels=[place.t for place in report.path],
        bounds=[place.bounds for place in report.path],
        means=[place.deviation for place in report.path],
        largest=[point(row.measured) for row in trust],
    )
    parts = [(rows, draw) for rows, draw in _effects(report) if rows]
    if not parts:
        return bound_versus_actual([panel])
    heights = (5.4, *[effects_height(report)] * len(parts))
    figure = Figure(figsize=(effects_width(report), sum(heights)), layout="constrained")
    places = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)
    first, *others = places[:, 0]
    _draw_panels(first, [panel])
    for place, (_, draw) in zip(others, parts, strict=True):
        draw(place.subplots(), report)
    return figure


def _effects(report: Report) -> tuple[tuple[object, Callable[[Axes, Report], None]], ...]:
    return (report.layers, draw_activations), (report.attribution, draw_attribution)


_FIGURES: dict[str, Callable[[Report], Figure]] = {
    "compare": _compare_figure,
    "perturb": _perturb_figure,
    "sensitivity": sensitivity_figure,
    "train": train_figure,
    "width": width_figure,
}
