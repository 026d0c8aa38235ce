"""Every form that a report takes: the tuple is the list of what exists.

Each renderer is imported when it is used, so that nobody pays for one that was not asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netdistance.errors import UsageError

if TYPE_CHECKING:
    from netdistance.report.document import Report


@dataclass(frozen=True, slots=True)
class Renderer:
    """A form of a report: the same bytes for the same report.

    `option` is the command line's, and is shared by renderers that a file's suffix tells apart.
    """

    name: str
    suffix: str
    option: str
    render: Callable[[Report], bytes]
    needs_matplotlib: bool


def _text(report: Report) -> bytes:
    from netdistance.report.text import render_text

    return render_text(report).encode()


def _json(report: Report) -> bytes:
    from netdistance.report.json import render_json

    return render_json(report)


def _csv(report: Report) -> bytes:
    from netdistance.report.csv import render_csv

    return render_csv(report)


def _markdown(report: Report) -> bytes:
    from netdistance.report.markdown import render_markdown

    return render_markdown(report)


def _html(report: Report) -> bytes:
    from netdistance.report.html import render_html

    return render_html(report)


def _figure(kind: str) -> Callable[[Report], bytes]:
    def render_kind(report: Report) -> bytes:
        from netdistance.report.figures import render_figure

        return render_figure(report, kind)

    return render_kind


RENDERERS = (
    Renderer("text", ".txt", "text", _text, needs_matplotlib=False),
    Renderer("json", ".json", "json", _json, needs_matplotlib=False),
    Renderer("csv", ".csv", "csv", _csv, needs_matplotlib=False),
    Renderer("markdown", ".md", "markdown", _markdown, needs_matplotlib=False),
    Renderer("html", ".html", "html", _html, needs_matplotlib=True),
    Renderer("png", ".png", "plot", _figure("png"), needs_matplotlib=True),
    Renderer("svg", ".svg", "plot", _figure("svg"), needs_matplotlib=True),
    Renderer("pdf", ".pdf", "plot", _figure("pdf"), needs_matplotlib=True),
)


def render(report: Report, format: str) -> bytes:
    """The report in the form of that name: text, json, csv, markdown, html, png, svg or pdf.

    Raises:
        UsageError: no renderer has that name, or the study has no figure.
    """
    for renderer in RENDERERS:
        if renderer.name == format:
            return renderer.render(report)
    known = ", ".join(renderer.name for renderer in RENDERERS)
    raise UsageError(f"no renderer is called {format!r}; there are {known}")
