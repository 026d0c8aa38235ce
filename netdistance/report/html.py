"""The report as one page that needs nothing else: no network, no second file, no script to read it.

Everything from the report is escaped. The policy in the page's head forbids every request and every
script but the one that sorts tables.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from netdistance.quantities import Skipped, point
from netdistance.report.audit_rows import AuditRow
from netdistance.report.audit_text import (
    KEEP_HEADER,
    audit_cells,
    audit_header,
    audit_worst_first,
    keep_cells,
)
from netdistance.report.document import Report
from netdistance.report.escape import visible
from netdistance.report.frontier_text import (
    AUDIT_HEADER,
    FRONTIER_HEADER,
    frontier_cells,
    scheme_cells,
)
from netdistance.report.html_figure import inline_figure
from netdistance.report.html_page import SCRIPT, STYLE
from netdistance.report.layers import columns_of
from netdistance.report.output_text import effect_columns, told_layers
from netdistance.report.sections import Section, sections_of, shown

_OPEN_ROWS = 40  # longer tables are folded
_LEGEND = (
    "A plain number is computed from all of its inputs; ≤ is a proved bound, a range a proved "
    "interval, ± a standard error. Certified is a theorem, estimated a sample or first order, "
    "modelled a model that can be exceeded. Where there is no number, the reason stands."
)

_SHORT_TEXT = 32
_NUMBER = ' class="number"'

# a text to show, and what to sort it by
Cell = tuple[str, float | str]


def render_html(report: Report) -> bytes:
    """UTF-8 HTML: the verdict, the figure, the layers worst first, then every row of the report."""
    title = f"netdistance {report.study}"
    body = [
        f"<header><h1>{_text(title)}</h1>",
        f'<p class="verdict">{_text(report.verdict.text)}</p></header>',
        "<main>",
        inline_figure(report),
        _audit(report) if report.audit else _layers(report),
        "<h2>every number of the report</h2>",
        *(_section(section) for section in sections_of(report)),
        f'<p class="legend">{_text(_LEGEND)}</p>',
        _provenance(report.provenance),
        "</main>",
    ]
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{"".join(f"{part}{chr(10)}" for part in body if part)}<script>{SCRIPT}</script>
</body>
</html>
"""
    return page.encode()


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        f"script-src 'sha256-{digest}'"
    )


def _text(text: str) -> str:
    return escape(visible(text), quote=True)


def _layers(report: Report) -> str:
    layers = told_layers(report)
    columns = (*columns_of(report.tensors), *effect_columns(report, everything=True))
    rows = [
        (
            _cell(layer.name or "''"),
            _cell(layer.tensor),
            *((column.text(layer), column.key(layer)) for column in columns),
        )
        for layer in layers
    ]
    header = ("layer", "moved most", *(column.title for column in columns))
    return _table("layers, worst first", header, rows, texts=2)


def _simulated(report: Report) -> str:
    """What each mixture takes and does, and each layer under each scheme."""
    mixtures = [
        (
            _cell(texts[0]),
            (texts[1], row.bits_per_weight),
            (texts[2], point(row.deviation) or 0.0),
            (texts[3], point(row.predicted) or 0.0),
        )
        for row in report.frontier or ()
        for texts in (frontier_cells(row),)
    ]
    layers = [
        (
            *map(_cell, texts[:2]),
            (texts[2], row.bits_per_weight or 0.0),
            (texts[3], point(row.distance) or 0.0),
            (texts[4], point(row.measured) or 0.0),
            (texts[5], (point(row.predicted) if row.predicted is not None else None) or 0.0),
            _cell(texts[6]),
        )
        for row in audit_worst_first(report.audit or ())
        for texts in (scheme_cells(row),)
    ]
    return _table("mixtures, the largest first", FRONTIER_HEADER, mixtures, texts=1) + _table(
        "each layer alone, worst first", AUDIT_HEADER, layers, texts=2
    )


def _audit(report: Report) -> str:
    if report.study == "simulate":
        return _simulated(report)
    rows = audit_worst_first(report.audit or ())
    cells = [
        (
            *map(_cell, texts[:3]),
            *((text, _sorted_by(row, place)) for place, text in enumerate(texts[3:])),
        )
        for row, texts in zip(rows, audit_cells(rows), strict=True)
    ]
    kept = report.keep or ()
    numbers = [(point(r.gain), point(r.deviation), r.bits_per_weight) for r in kept]
    kept_cells = [
        (_cell(texts[0]), *((text, key or 0.0) for text, key in zip(texts[1:], keys, strict=True)))
        for texts, keys in zip(keep_cells(kept), numbers, strict=True)
    ]
    return _table("layers, worst first", audit_header(rows), cells, texts=3) + _table(
        "layers to keep, the most useful first", KEEP_HEADER, kept_cells, texts=1
    )


def _sorted_by(row: AuditRow, place: int) -> float:
    """What a number's column is sorted by: change, multiple of rounding, cost."""
    floor = point(row.floor) if row.floor is not None else None
    distance = point(row.distance) or 0.0
    return (distance, distance / floor if floor else 0.0, point(row.measured) or 0.0)[place]


def _section(section: Section) -> str:
    rows = [
        (
            *(_cell(item.labels.get(label)) for label in section.labels),
            *(_cell(item.numbers.get(number, "")) for number in section.numbers),
        )
        for item in section.items
    ]
    return _table(
        section.name, [*section.labels, *section.numbers], rows, texts=max(1, len(section.labels))
    )


def _cell(value: Any) -> Cell:
    """What a cell shows, and what it is sorted by: a skipped number comes first or last."""
    if isinstance(value, Skipped):
        return shown(value), float("inf")
    if isinstance(value, bool | str | tuple) or value is None:
        return shown(value), shown(value)
    if isinstance(value, int | float):
        return shown(value), float(value)
    return shown(value), point(value) or 0.0


def _table(name: str, header: Sequence[str], rows: Sequence[Sequence[Cell]], *, texts: int) -> str:
    """A table with a caption, folded where it is long; the first `texts` columns are words."""
    if not rows:
        return ""
    title = _text(name.replace("_", " ").replace(".", ": "))
    head = "".join(
        f'<th scope="col"{"" if place < texts else _NUMBER}>{_text(label.replace("_", " "))}</th>'
        for place, label in enumerate(header)
    )
    body = "\n".join(_row(row, texts) for row in rows)
    caption = f"<caption>{title} <small>({len(rows):,})</small></caption>"
    table = (
        f'<div class="scroll" role="region" aria-label="{title}" tabindex="0">'
        f'<table class="sortable">{caption}<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )
    opened = " open" if len(rows) <= _OPEN_ROWS else ""
    return f"<details{opened}><summary>{title} ({len(rows):,})</summary>\n{table}\n</details>"


def _row(cells: Sequence[Cell], texts: int) -> str:
    (first, key), *others = cells
    parts = [f'<th scope="row"{_kind(first)} data-key="{_key(key)}">{_text(first)}</th>']
    for place, (text, key) in enumerate(others, start=1):
        kind = _NUMBER if place >= texts and not text.startswith("skipped: ") else _kind(text)
        parts.append(f'<td{kind} data-key="{_key(key)}">{_text(text)}</td>')
    return f"<tr>{''.join(parts)}</tr>"


def _kind(text: str) -> str:
    """The class of a cell with words: short ones stay on one line, long ones get room."""
    kinds = ["skipped"] if text.startswith("skipped: ") else []
    kinds += ["short"] if len(text) <= _SHORT_TEXT else ["long"]
    return f' class="{" ".join(kinds)}"'


def _key(key: float | str) -> str:
    # repr keeps every digit: the whole number stands in the page, the shown one is rounded
    return _text(key if isinstance(key, str) else repr(key))


def _provenance(provenance: Mapping[str, Any]) -> str:
    rows = [(_cell(key), _cell(_plain(value))) for key, value in provenance.items()]
    return _table("provenance", ("what", "value"), rows, texts=2)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {_plain(member)}" for key, member in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(map(_plain, value))
    return "none" if value is None else str(value)
