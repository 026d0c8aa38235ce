"""Bounds beside what was measured, on log axes.

Certified curves are solid, estimated dashed, modelled dotted, measurements are points with error
bars: the line style carries the standing, so that grey paper and colour-blind readers lose nothing.
A level with a name is no point of a curve: its bounds are signs, a different one for each standing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from netdistance.quantities import Estimate, Quantity, point
from netdistance.report.document import BoundRow, Report, Standing, SweepPoint
from netdistance.report.escape import drawable
from netdistance.report.noise_level import is_named, size_of
from netdistance.report.wording import count

_Style = tuple[str | tuple[int, tuple[int, int]], str, str]
# line style, colour, and sign apart from a line, of each standing; the colours are Okabe and Ito's,
# safe for colour blindness
_STYLES: dict[Standing, _Style] = {
    "certified": ("-", "#000000", "s"),
    "estimated": ("--", "#0072B2", "D"),
    "modelled": (":", "#D55E00", "^"),
}
# of two with one standing: another line of the same kind
_SIBLINGS: dict[str, _Style] = {
    "first_order_worst": ((0, (7, 2)), "#56B4E9", "p"),
    "spectral_trust": ((0, (1, 3)), "#E69F00", ">"),
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
    "first_order_worst": "estimated: first order, worst",
    "deep_relative_trust": "modelled: deep relative trust",
    "spectral_trust": "modelled: spectral trust",
}


@dataclass(frozen=True, slots=True)
class Panel:
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
    panel: Panel


def bound_versus_actual(panels: Sequence[Panel]) -> Figure:
    """One panel beside another, sharing the deviation axis and the legend."""
    # one panel has room for one column of the legend
    size = (6.4, 5.4) if len(panels) == 1 else (5.2 * len(panels), 4.6)
    figure = Figure(figsize=size, layout="constrained")
    draw_panels(figure, panels)
    return figure


def draw_panels(figure: FigureBase, panels: Sequence[Panel]) -> None:
    """The panels beside each other in a figure or part of one, with one legend."""
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


def _draw(axes: Axes, panel: Panel) -> None:
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
    levels = {*panel.levels, *(panel.apart.panel.levels if panel.apart else ())}
    if len(levels) == 1:
        # matplotlib's own limits around one place of a log axis are 1e-300 of it apart
        axes.set_xlim(min(levels) / 10.0, min(levels) * 10.0)
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
    axes.axhline(1.0, color="#999999", linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_series(axes: Axes, panel: Panel, *, joined: bool) -> None:
    for name in dict.fromkeys(row.name for rows in panel.bounds for row in rows):
        _draw_bound(axes, panel, name, joined=joined)
    if panel.attacks:
        _draw_line(
            axes, panel.levels, [point(a) for a in panel.attacks],
            marker="v", color="#666666", linewidth=0.8 if joined else 0.0,
            label=_attack_label(panel),
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


def _attack_label(panel: Panel) -> str:
    """What was attacked: the inputs that certificates cover."""
    covered = next(
        (r.inputs for rows in panel.bounds for r in rows if r.standing == "certified"), 0
    )
    return f"measured: worst found, {count(covered or 0, 'input')}"


def _draw_bound(axes: Axes, panel: Panel, name: str, *, joined: bool) -> None:
    rows = [next((r for r in rows if r.name == name), None) for rows in panel.bounds]
    standing = next(row.standing for row in rows if row is not None)
    linestyle, color, sign = _SIBLINGS.get(name, _STYLES[standing])
    values = [None if row is None else point(row.value) for row in rows]
    # hollow, so that a measurement behind it is seen; one point makes no line
    style: dict[str, object] = {"linestyle": linestyle if joined else "none", "linewidth": 1.6}
    if not joined or len(panel.levels) == 1:
        style |= {"marker": sign, "markerfacecolor": "none"}
    shade = _SHADES.get(name, color)
    _draw_line(axes, panel.levels, values, color=shade, label=_label(rows), **style)


def _label(rows: Sequence[BoundRow | None]) -> str:
    """What a bound is called, and how many inputs it speaks of where that is not all of them."""
    row = next(row for row in rows if row is not None)
    label = _LABELS.get(row.name) or drawable(row.name, 40)
    some = row.standing != "modelled" and row.name != "norms_certificate"
    return f"{label}, {count(row.inputs or 0, 'input')}" if some else label


def _draw_line(
    axes: Axes, levels: Sequence[float], values: Sequence[float | None], **style: object
) -> None:
    kept = [(x, y) for x, y in zip(levels, values, strict=True) if y is not None and y > 0.0]
    if kept:
        axes.plot([x for x, _ in kept], [y for _, y in kept], **style)  # type: ignore[arg-type]


def perturb_figure(report: Report) -> Figure:
    """A panel for each scope: every level, and the formats apart."""
    titles = {"weights": "noise on weights only", "all": "noise on all parameters"}
    panels: list[Panel] = []
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


def _noise_panel(title: str, places: Sequence[SweepPoint]) -> Panel:
    return Panel(
        title=title,
        xlabel="relative noise in each layer",
        levels=[size_of(place) for place in places],
        bounds=[place.bounds for place in places],
        means=[place.deviation.mean for place in places],
        largest=[place.deviation.quantiles.get("1.0") for place in places],
        attacks=[place.attack for place in places],
    )
