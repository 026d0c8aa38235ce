"""The report as a pull-request comment: the verdict, and the worst of everything, in 60 lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from netdistance.quantities import Skipped
from netdistance.report.audit_text import (
    KEEP_HEADER,
    audit_cells,
    audit_header,
    audit_worst_first,
    keep_cells,
)
from netdistance.report.bound_text import BOUND_HEADER, bound_cells
from netdistance.report.conversion_text import conversions_told
from netdistance.report.document import BoundRow, PairingAccount, PathPoint, Report, SweepPoint
from netdistance.report.escape import shortened, visible
from netdistance.report.frontier_text import (
    AUDIT_HEADER,
    FRONTIER_HEADER,
    frontier_cells,
    scheme_cells,
)
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
from netdistance.report.wording import count, quantity

_LINES = 60
_ROWS = 10
_NAMES = 3
_CELL = 60
# what stands outside of a code span: no markup, mention, issue, link or entity is made of these
_PLAIN = re.compile(r"[\w.,;:%()'/+±≤–−…-]+")
_LINK = re.compile(r"www\.|//|_|^[a-z][a-z+.-]*:\S", re.IGNORECASE)
# shown in tables of their own
_OWN = (
    "thresholds", "pairing", "tensors", "bounds", "deviation", "path", "sweep", "runs", "layers",
    "attribution", "audit", "keep", "frontier",
)  # fmt: skip
_HIDDEN = ("assumptions",)

Block = list[str]


def render_markdown(report: Report) -> bytes:
    """GitHub-flavoured Markdown of at most about 60 lines, with a note of what was left out."""
    blocks = [[f"**{prose(report.verdict.text)}**"] if report.verdict.text else []]
    if report.pairing is not None:
        blocks.append(_coverage(report.pairing))
        told = conversions_told(report.tensors)
        blocks.append([prose(told)] if told else [])
    blocks += [_thresholds(report), *(_audit(report) if report.audit else [_layers(report)])]
    if report.deviation:
        blocks.append(_table(MEASURE_HEADER, map(measure_cells, report.deviation), "measures"))
    blocks += [_sweep(report.sweep or ()), _path(report.path or ())]
    blocks.append(_bounds(report.bounds))
    blocks += [_runs(report), *_others(report)]
    return _fitted([block for block in blocks if block]).encode()


def prose(text: str) -> str:
    r"""Text that stays text: words that Markdown or GitHub would read become code.

    >>> prose("b is close to a (2.weight)."), prose("ask @you at [x](y) <b>")
    ('b is close to a (2.weight).', 'ask `@you` at `[x](y)` `<b>`')
    """
    return " ".join(map(_word, visible(text).split(" ")))


def _word(word: str) -> str:
    if not word or (_PLAIN.fullmatch(word) and not _LINK.search(word)):
        return word
    # a sentence's own punctuation stands outside of the code
    inside = word.rstrip(",.:;")
    return code(inside) + word[len(inside) :] if inside else code(word)


def code(text: str) -> str:
    """A name as a code span, in which nothing but a backtick and a table's pipe has a meaning."""
    shown_text = visible(text) or "''"
    # not a longer fence or \\|, which two renderers read in two ways
    return "`" + shown_text.replace("`", r"\x60").replace("|", r"\x7c") + "`"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], what: str) -> Block:
    """A table of the first rows, and how many more there are. Its cells are plain texts."""
    cells = [[prose(shortened(cell, _CELL)) if cell else "" for cell in row] for row in rows]
    lines = [_row(map(prose, header)), _row("---" for _ in header)]
    lines += [_row(row) for row in cells[:_ROWS]]
    if len(cells) > _ROWS:
        lines += ["", f"{len(cells) - _ROWS:,} of {len(cells):,} {what} left out."]
    return lines


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _coverage(account: PairingAccount) -> Block:
    parts = [f"{count(account.compared, 'tensor')} compared, {account.identical:,} identical"]
    for title, names in (
        ("only in a", account.only_a),
        ("only in b", account.only_b),
        ("reshaped", [row.name for row in account.reshaped]),
        ("non-finite", [row.name for row in account.non_finite]),
        ("not measured", [f"{row.name}: {row.reason}" for row in account.skipped]),
        ("ambiguous", [row.name for row in account.ambiguous or ()]),
    ):
        if names:
            first = ", ".join(code(shortened(name, _CELL)) for name in names[:_NAMES])
            more = f" and {len(names) - _NAMES:,} more" if len(names) > _NAMES else ""
            parts.append(f"{len(names):,} {title} ({first}{more})")
    return ["; ".join(parts) + "."]


def _thresholds(report: Report) -> Block:
    lines = []
    for row in report.verdict.thresholds[:_ROWS]:
        outcome = "passed" if row.passed else f"**failed** by {len(row.failures):,}"
        lines.append(f"- {code(shortened(row.expression, _CELL))}: {outcome}")
    left = len(report.verdict.thresholds) - _ROWS
    return lines + ([f"- {left:,} more thresholds left out"] if left > 0 else [])


def _layers(report: Report) -> Block:
    layers = told_layers(report)
    columns = (*columns_of(report.tensors), *effect_columns(report, everything=True))
    if not layers:
        return []
    rows = [
        (layer.name or "''", layer.tensor, *(column.text(layer) for column in columns))
        for layer in layers
    ]
    header = ("layer", "moved most", *(column.title for column in columns))
    return _table(header, rows, "layers")


def _audit(report: Report) -> Iterator[Block]:
    rows = audit_worst_first(report.audit or ())
    if report.study == "simulate":
        # the chosen one is never left out
        mixtures = sorted(report.frontier or (), key=lambda row: not row.chosen)
        yield _table(FRONTIER_HEADER, map(frontier_cells, mixtures), "mixtures")
        yield _table(AUDIT_HEADER, map(scheme_cells, rows), "layers")
        return
    yield _table(audit_header(rows), audit_cells(rows), "layers")
    reasons = [f"- {prose(row.layer)}: {prose(row.reason)}" for row in rows if row.reason]
    yield reasons[:_ROWS]
    yield _table(KEEP_HEADER, keep_cells(report.keep), "layers to keep") if report.keep else []


def _sweep(places: Sequence[SweepPoint]) -> Block:
    if not places:
        return []
    measured = not all(isinstance(place.accuracy, Skipped) for place in places)
    header = ("noise on", *SWEEP_HEADER, *(("top-1",) if measured else ()))
    rows = [(place.scope, *sweep_cells(place, measured)) for place in places]
    return _table(header, rows, "levels")


def _path(places: Sequence[PathPoint]) -> Block:
    if not places:
        return []
    names = list(dict.fromkeys(row.name for place in places for row in place.bounds))
    rows = []
    for place in places:
        says = {row.name: quantity(row.value) for row in place.bounds}
        cells = (says.get(name, "") for name in names)
        rows.append((f"{place.t:g}", quantity(place.deviation), *cells))
    header = ("t of a + t(b - a)", "measured mean", *(name.replace("_", " ") for name in names))
    return _table(header, rows, "places")


def _bounds(rows: Sequence[BoundRow]) -> Block:
    if not rows:
        return []
    skipped = [
        f"- {prose(row.name)} skipped: {prose(shortened(row.value.reason, 2 * _CELL))}"
        for row in rows[:_ROWS]
        if isinstance(row.value, Skipped)
    ]
    lines = _table(BOUND_HEADER, map(bound_cells, rows), "bounds")
    return [*lines, "", *skipped] if skipped else lines


def _runs(report: Report) -> Block:
    if not report.runs:
        return []
    groups = group_runs(report.runs, by_depth=True)
    judged = are_judged(report.runs)
    cells = (run_cells(group, judged=judged) for group in groups)
    return _table(run_header(judged=judged), cells, "groups of runs")


def _others(report: Report) -> Iterator[Block]:
    """Sections that have no table of their own above."""
    for section in sections_of(report):
        if section.name.split(".")[0] in _OWN:
            continue
        labels = [label for label in section.labels if label not in _HIDDEN]
        header = [*labels, *section.numbers]
        rows = [
            [shown(row.labels.get(key)) for key in labels]
            + [shown(row.numbers[key]) if key in row.numbers else "" for key in section.numbers]
            for row in section.items
        ]
        yield [f"{prose(section.name)}:", "", *_table(header, rows, "rows")]


def _fitted(blocks: Sequence[Block]) -> str:
    """The blocks that fit, and a last line that says what did not."""
    kept: list[str] = []
    left = 0
    for block in blocks:
        text = "\n".join(block) + "\n"
        if left or sum(part.count("\n") + 1 for part in kept) + text.count("\n") > _LINES - 2:
            left += 1
        else:
            kept.append(text)
    if left:
        kept.append(f"{count(left, 'more table')} left out: --html and --json hold all.\n")
    return "\n".join(kept)
