"""What a person reads of `audit`: the layers with their verdicts, and which of them to keep."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netdistance.quantities import Skipped, point
from netdistance.report.adapter_text import adapter_lines
from netdistance.report.audit_rows import AuditRow, KeepRow
from netdistance.report.audit_verdict import DAMAGED
from netdistance.report.compare_text import coverage_lines
from netdistance.report.document import Report
from netdistance.report.escape import abbreviated
from netdistance.report.layout import Lines, paragraph, table
from netdistance.report.noise_floor import beyond_rounding, times
from netdistance.report.output_text import output_lines
from netdistance.report.wording import count, quantity, stored_word, without_error

_ROWS, _REASONS = 12, 5
_LEAST = 0.01  # a multiple below it is said to be below it
KEEP_HEADER = ("keep", "gain", "deviation then", "bits a weight")
_ORDER = ("broken", "more_than_rounding", "not_compared", "rounding", "lossless")


def audit_lines(report: Report, everything: bool) -> Lines:
    """The body of the report, below its verdict."""
    lines = [*coverage_lines(report), *adapter_lines(report.adapter or (), everything)]
    rows = audit_worst_first(report.audit or ())
    moved = [row for row in rows if row.verdict != "lossless"]
    if moved:
        lines += ["", *_layer_table(rows if everything else moved, None if everything else _ROWS)]
        if not everything and len(moved) > _ROWS:
            lines.append(f"(--all: {count(len(rows), 'layer')})".rjust(64))
        lines += _reasons(moved, everything=everything)
    if report.deviation is None:
        return [*lines, "", _NEXT] if moved else lines
    lines += ["", *output_lines(report, everything=everything)]
    return lines + _keep_lines(report)


_NEXT = "next: add --model and --inputs to see what each layer costs and which to keep."


def audit_worst_first(rows: Sequence[AuditRow]) -> list[AuditRow]:
    """The rows by verdict, then by what the layer alone does to the outputs, then by distance."""

    def key(row: AuditRow) -> tuple[int, float, float]:
        return _ORDER.index(row.verdict), -(point(row.measured) or 0.0), -_above_floor(row)

    return sorted(rows, key=key)


def audit_header(rows: Sequence[AuditRow]) -> tuple[str, ...]:
    """The titles of the columns that `audit_cells` fills; cost only where it was measured."""
    cost = ("cost",) if _are_measured(rows) else ()
    return ("layer", "stored", "verdict", "change", "x rounding", *cost)


def audit_cells(rows: Sequence[AuditRow]) -> list[tuple[str, ...]]:
    """A row of texts for each layer: where it is, how it is stored, and what became of it."""
    measured = _are_measured(rows)
    return [
        (
            row.layer or "''",
            row.scheme,
            row.verdict.replace("_", " "),
            "" if isinstance(row.distance, Skipped) else without_error(row.distance),
            _multiple(row),
            *((without_error(row.measured),) if measured else ()),
        )
        for row in rows
    ]


def keep_cells(rows: Sequence[KeepRow]) -> list[tuple[str, ...]]:
    """A row of texts for each layer to keep."""
    return [
        (
            row.layer or "''",
            quantity(row.gain),
            quantity(row.deviation),
            "" if row.bits_per_weight is None else f"{row.bits_per_weight:.3g}",
        )
        for row in rows
    ]


def _are_measured(rows: Sequence[AuditRow]) -> bool:
    return any(row.verdict != "lossless" and point(row.measured) is not None for row in rows)


def _above_floor(row: AuditRow) -> float:
    distance = point(row.distance)
    if distance is None:
        return math.inf
    floor = point(row.floor) if row.floor is not None else None
    return distance / floor if floor else distance


def _multiple(row: AuditRow) -> str:
    multiple = _times_rounding(row)
    if multiple is None:
        return ""
    told = f"< {_LEAST:g}" if multiple < _LEAST else times(multiple)
    return f"{told}x {row.rounding_of}"


def _times_rounding(row: AuditRow) -> float | None:
    floor = None if row.floor is None else point(row.floor)
    distance = point(row.distance)
    if not floor or distance is None or row.rounding_of is None:
        return None
    return distance / floor


def _layer_table(rows: Sequence[AuditRow], most: int | None) -> Lines:
    header = audit_header(rows)
    # cut after the cells are made: whether there is a column of costs depends on all rows
    cells = [(name, stored_word(stored), *rest) for name, stored, *rest in audit_cells(rows)[:most]]
    return table(header, cells, left="lll" + "r" * (len(header) - 3))


def _reasons(rows: Sequence[AuditRow], *, everything: bool) -> Lines:
    """Why, for those whose verdict needs it; the damaged first, as the table has them."""
    told = [row for row in rows if row.reason and not _is_in_the_table(row)]
    shown = told if everything else told[:_REASONS]
    lines: Lines = []
    for row in shown:
        lines += paragraph(f"{abbreviated(row.layer, 40)}: {row.reason}", indent="  ")
    if len(shown) < len(told):
        lines.append(f"(--all: {len(told):,} reasons)".rjust(64))
    return lines


def _is_in_the_table(row: AuditRow) -> bool:
    multiple = _times_rounding(row)
    if multiple is None:
        return False
    return row.reason == beyond_rounding(multiple, str(row.rounding_of))


def _keep_lines(report: Report) -> Lines:
    kept = report.keep or ()
    inputs = report.attribution[0].inputs if report.attribution else 0
    cost = (
        f"cost: the mean output deviation with this layer alone compressed, on {inputs:,} inputs."
    )
    if not kept:
        return [*paragraph(cost), "no single layer is worth keeping: none lowers it by 1% of it."]
    lines = table(KEEP_HEADER, keep_cells(kept))
    worst = [row for row in report.audit or () if row.verdict in DAMAGED]
    left = {row.layer for row in worst} - {row.layer for row in kept}
    text = f"{cost} gain: measured, each kept together with those above it."
    if left:
        text += f" {len(left):,} damaged are not in the list: keeping them gained less."
    return [*lines, *paragraph(text)]
