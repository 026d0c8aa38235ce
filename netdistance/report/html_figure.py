"""The report's figure as an SVG element inside a page."""

from __future__ import annotations

import re
from html import escape

from netdistance.report.document import Report
from netdistance.report.figures import has_figure, render_figure

_TITLES = {
    "simulate": "What each scheme or mixture takes, and what it does, as far as it was measured",
    "audit": "How far each layer moved beside what rounding does; what keeping layers gains, "
    "and what of an adapter landed, where there is one",
    "compare": "How far it moved, and what that does as far as it was measured",
    "perturb": "Bounds beside the measured deviation, for each noise level",
    "sensitivity": "How far each weight, and the network, can stretch a change of its input",
    "width": "How far each layer, and all of them, may move before the criterion fails; "
    "of a worst direction found, a shorter one may exist",
    "gradients": "How far the gradient of each tensor changes along a move, and the loss there",
    "train": "How the runs ended and went: losses, deep relative trust, norms of the weights",
}


def inline_figure(report: Report) -> str:
    """A figure element with the SVG, named for who does not see it; empty where there is none.

    What belongs to a file of its own is taken out: the prolog, the metadata and the namespaces,
    which are addresses. What is left refers to its own ids only.
    """
    if not has_figure(report):
        return ""
    svg = render_figure(report, "svg").decode()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", head)
    # its style would reach the whole page; the same declarations on the element are inherited
    rest = re.sub(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", rest, count=1, flags=re.DOTALL)
    title = escape(_TITLES.get(report.study, report.study))
    named = f'{head} role="img" aria-label="{title}" style="stroke-linejoin: round">'
    return (
        f"<figure>\n{named}<title>{title}</title>{rest.rstrip()}\n"
        f"<figcaption>{title}. The tables below hold the same numbers.</figcaption>\n</figure>"
    )
