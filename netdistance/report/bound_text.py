"""Bounds as a table: what each is, what it covers, and the measurement beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netdistance.quantities import Skipped, point
from netdistance.report.document import BoundRow
from netdistance.report.layout import Lines, paragraph, table
from netdistance.report.wording import percent, percent_span, quantity

BOUND_HEADER = ("bound", "standing", "over", "inputs", "says", "measured worst")


def bound_cells(row: BoundRow) -> tuple[str, ...]:
    """A bound's row of the table."""
    return (
        row.name.replace("_", " "),
        row.standing,
        row.over,
        "all" if row.inputs is None else f"{row.inputs:,}",
        # ≤ is for theorems: the interval of a model has two ends like any other number
        percent_span(row.value) if row.standing == "modelled" else quantity(row.value),
        quantity(row.measured),
    )


def bound_lines(bounds: Sequence[BoundRow]) -> Lines:
    """One line for each bound, then each that was skipped, and each model that was exceeded."""
    lines = table(BOUND_HEADER, [bound_cells(row) for row in bounds], left="lll")
    skipped: dict[str, list[str]] = {}
    for row in bounds:
        if isinstance(row.value, Skipped):
            skipped.setdefault(row.value.reason, []).append(row.name.replace("_", " "))
    for reason, names in skipped.items():
        lines += paragraph(f"{', '.join(names)} skipped: {reason}", indent="  ")
    return lines + exceeded_lines(bounds)


def tightest(bounds: Sequence[BoundRow]) -> BoundRow | None:
    """The certificate that says most; one that is skipped where each one is; None without any."""
    certified = [row for row in bounds if row.standing == "certified"]
    numbers = {id(row): point(row.value) for row in certified}
    known = [row for row in certified if numbers[id(row)] is not None]
    return min(known, key=lambda row: numbers[id(row)] or 0.0, default=next(iter(certified), None))


def exceeded_lines(bounds: Sequence[BoundRow]) -> Lines:
    """A sentence where a model says less than was measured: that is what a model may do."""
    exceeded = [
        (row.name.replace("_", " "), says, seen)
        for row in bounds
        if row.standing == "modelled"
        and (says := point(row.value)) is not None
        and (seen := point(row.measured)) is not None
        and seen > says
    ]
    if not exceeded:
        return []
    name, says, seen = max(exceeded, key=lambda row: row[2] / row[1] if row[1] else math.inf)
    return paragraph(f"{name} was exceeded: {percent(seen)} measured, {percent(says)} modelled.")
