"""A report as a notebook shows it: a piece of HTML that brings no style sheet, script or figure.

It leaves colours and fonts to the page around it, so that it reads in the light and in the dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from netdistance.quantities import Skipped
from netdistance.report.audit_text import (
    KEEP_HEADER,
    audit_cells,
    audit_header,
    audit_worst_first,
    keep_cells,
)
from netdistance.report.bound_text import BOUND_HEADER, bound_cells
from netdistance.report.document import Report
from netdistance.report.escape import shortened, visible
from netdistance.report.layers import columns_of
from netdistance.report.output_text import (
    MEASURE_HEADER,
    effect_columns,
    measure_cells,
    told_layers,
)
from netdistance.report.perturb_text import SWEEP_HEADER, sweep_cells
from netdistance.report.run_groups import are_judged, group_runs
from netdistance.report.sections import sections_of, shown
from netdistance.report.train_text import run_cells, run_header

_ROWS = 10
_REASONS = 5
_CELL = 60
# shown by tables of their own, or by the verdict
_OWN = (
    "thresholds", "pairing", "tensors", "bounds", "deviation", "path", "sweep", "runs", "layers",
    "attribution", "audit", "keep",
)  # fmt: skip
_WITH_REASONS = ("audit", "bounds", "deviation", "layers", "sweep")
# notebooks right-align every cell and typeset what stands between dollar signs: not here
_OPEN = '<div class="tex2jax_ignore mathjax_ignore">'
_WRAPPED = 'style="overflow-wrap: anywhere"'
_WORDS, _NUMBER = 'style="text-align: left"', 'style="text-align: right"'


def render_fragment(report: Report) -> str:
    """HTML of a few kilobytes: the verdict, the first rows of each table, and what is left out."""
    verdict = escape(visible(report.verdict.text))
    parts = [f"<p {_WRAPPED}><strong>{verdict}</strong></p>", *_thresholds(report)]
    parts += [*_answers(report), *_others(report), *_reasons(report)]
    more = "<code>print(report)</code> and <code>render(report, 'html')</code> show more."
    return "\n".join([_OPEN, *parts, f"<p><small>{more}</small></p>", "</div>"])


def _thresholds(report: Report) -> Iterator[str]:
    for row in report.verdict.thresholds[:_ROWS]:
        outcome = "passed" if row.passed else f"<strong>failed</strong> by {len(row.failures):,}"
        yield f"<p>threshold <code>{_text(row.expression)}</code>: {outcome}</p>"
    if (left := len(report.verdict.thresholds) - _ROWS) > 0:
        yield f"<p>{left:,} more thresholds</p>"


def _answers(report: Report) -> Iterator[str]:
    """The tables that the studies are run for."""
    if report.audit:
        rows = audit_worst_first(report.audit)
        yield from _table("layers", audit_header(rows), audit_cells(rows), words=3)
        yield from _table("layers to keep", KEEP_HEADER, keep_cells(report.keep or ()))
    else:
        yield from _layers(report)
    measured = [measure_cells(row) for row in report.deviation or ()]
    yield from _table("measures", MEASURE_HEADER, measured)
    sweep = report.sweep or ()
    judged = not all(isinstance(place.accuracy, Skipped) for place in sweep)
    levels = [(place.scope, *sweep_cells(place, judged)) for place in sweep]
    yield from _table(
        "levels", ("noise on", *SWEEP_HEADER, *(("top-1",) if judged else ())), levels
    )
    groups = group_runs(report.runs or (), by_depth=True)
    scored = are_judged(report.runs or ())
    cells = [run_cells(group, judged=scored) for group in groups]
    yield from _table("groups of runs", run_header(judged=scored), cells)
    bounds = [bound_cells(row) for row in report.bounds]
    yield from _table("bounds", BOUND_HEADER, bounds, words=3)


def _layers(report: Report) -> Iterator[str]:
    layers = told_layers(report)
    columns = (*columns_of(report.tensors), *effect_columns(report, everything=True))
    rows = [
        (layer.name or "''", layer.tensor, *(column.text(layer) for column in columns))
        for layer in layers
    ]
    header = ("layer", "moved most", *(column.title for column in columns))
    yield from _table("layers", header, rows, words=2)


def _others(report: Report) -> Iterator[str]:
    """Sections that have no table of their own above."""
    for section in sections_of(report):
        if section.name.split(".")[0] not in _OWN:
            rows = [
                [shown(item.labels.get(key)) for key in section.labels]
                + [shown(item.numbers.get(key)) for key in section.numbers]
                for item in section.items
            ]
            title = section.name.replace("_", " ").replace(".", ": ")
            names = (title if key == "value" else key for key in section.numbers)
            header = [key.replace("_", " ") for key in (*section.labels, *names)]
            yield from _table(title, header, rows, words=len(section.labels))


def _reasons(report: Report) -> Iterator[str]:
    """Why a number is missing from the tables, each reason once."""
    found = dict.fromkeys(
        f"{item.labels.get('name') or item.labels.get('measure') or key}: {number.reason}"
        for section in sections_of(report)
        if section.name.split(".")[0] in _WITH_REASONS
        for item in section.items
        for key, number in item.numbers.items()
        if isinstance(number, Skipped)
    )
    if found:
        left = f"<br>and {len(found) - _REASONS:,} more" if len(found) > _REASONS else ""
        lines = "<br>".join(f"– {escape(visible(line))}" for line in list(found)[:_REASONS])
        yield f"<p {_WRAPPED}><small>{lines}{left}</small></p>"


def _table(
    what: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, words: int = 1
) -> Iterator[str]:
    """A table of the first rows, where there are any; its first `words` columns are words."""
    if not rows:
        return
    yield "<table>"
    yield f"<thead>{_row('th', header, words)}</thead>"
    yield "<tbody>"
    yield from (_row("td", row, words) for row in rows[:_ROWS])
    yield "</tbody></table>"
    if len(rows) > _ROWS:
        left = f"{len(rows) - _ROWS:,} of {len(rows):,} {_text(what)} left out."
        yield f"<p><small>{left}</small></p>"


def _row(tag: str, cells: Iterable[str], words: int) -> str:
    parts = (
        f"<{tag} {_WORDS if place < words else _NUMBER}>{_text(cell)}</{tag}>"
        if cell
        else f"<{tag}></{tag}>"
        for place, cell in enumerate(cells)
    )
    return f"<tr>{''.join(parts)}</tr>"


def _text(text: str) -> str:
    return escape(shortened(text, _CELL)) if text else ""
