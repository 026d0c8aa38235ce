"""The figure of a report: bounds beside what was measured, above what layers did."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from netdistance.errors import UsageError
from netdistance.quantities import point
from netdistance.report.attribution_figure import (
    draw_activations,
    draw_attribution,
    effects_height,
    effects_width,
)
from netdistance.report.audit_figure import audit_figure
from netdistance.report.bound_figure import Panel, bound_versus_actual, draw_panels, perturb_figure
from netdistance.report.document import Report
from netdistance.report.frontier_figure import frontier_figure
from netdistance.report.gradients_figure import gradients_figure
from netdistance.report.layer_figure import layer_figure
from netdistance.report.sections import sections_of
from netdistance.report.sensitivity_figure import sensitivity_figure
from netdistance.report.train_figure import part_figure, train_figure, train_parts
from netdistance.report.width_figure import width_figure


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
    return _image(_FIGURES[report.study](report) if has_figure(report) else _empty_figure(), kind)


def render_parts(report: Report, kind: str) -> dict[str, bytes]:
    """Each part of a training comparison's figure by its name, as `render_figure` makes it."""
    return {part.name: _image(part_figure(report, part), kind) for part in train_parts(report)}


def _image(figure: Figure, kind: str) -> bytes:
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


def _compare_figure(report: Report) -> Figure:
    if not report.path:
        return layer_figure(report)
    trust = [next(r for r in p.bounds if r.name == "deep_relative_trust") for p in report.path]
    panel = Panel(
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
    draw_panels(first, [panel])
    for place, (_, draw) in zip(others, parts, strict=True):
        draw(place.subplots(), report)
    return figure


def _effects(report: Report) -> tuple[tuple[object, Callable[[Axes, Report], None]], ...]:
    return (report.layers, draw_activations), (report.attribution, draw_attribution)


_FIGURES: dict[str, Callable[[Report], Figure]] = {
    "audit": audit_figure,
    "compare": _compare_figure,
    "gradients": gradients_figure,
    "perturb": perturb_figure,
    "sensitivity": sensitivity_figure,
    "simulate": frontier_figure,
    "train": train_figure,
    "width": width_figure,
}
