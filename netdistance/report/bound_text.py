"""Bounds as a table: what each is, what it covers, and the measurement beside it."""

from __future__ import annotations

from collections.abc import Sequence

from netdistance.quantities import Skipped
from netdistance.report.document import BoundRow
from netdistance.report.layout import Lines, paragraph, table
from netdistance.report.wording import quantity


def bound_lines(bounds: Sequence[BoundRow]) -> Lines:
    """One line for each bound, then the reason of each that was skipped."""
    rows = [
        (
            row.name.replace("_", " "),
            row.standing,
            row.over,
            "all" if row.inputs is None else f"{row.inputs:,}",
            quantity(row.value),
            quantity(row.measured),
        )
        for row in bounds
    ]
    header = ("bound", "standing", "over", "inputs", "says", "measured worst")
    lines = table(header, rows, left=3)
    for row in bounds:
        if isinstance(row.value, Skipped):
            lines += paragraph(f"{row.name} skipped: {row.value.reason}", indent="  ")
    return lines
