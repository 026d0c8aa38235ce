"""The building blocks of terminal text: wrapped paragraphs and aligned tables."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

# rich's measure of wide letters alone: its tables cost 0.1 s to import
from rich.cells import cell_len

from netdistance.report.escape import shortened, visible

COLUMNS = 80
_LEAST_NAME = 16
Lines = list[str]


def paragraph(text: str, *, indent: str = "") -> Lines:
    """Text wrapped to 80 columns, made safe to show; `indent` begins every line but the first."""
    return textwrap.wrap(
        visible(text), COLUMNS, subsequent_indent=indent, break_on_hyphens=False
    ) or [""]


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: str = "l") -> Lines:
    """Aligned columns: to the left where `left` has an l at their place, numbers to the right.

    They stand two blanks apart, or one where 80 columns need it; where that is too wide still, the
    first column is shortened.
    """
    cells = [header, *rows]
    wide = _aligned(cells, left, gap=2)
    if max(map(len, wide)) <= COLUMNS:
        return wide
    narrow = _aligned(cells, left, gap=1)
    if (beyond := max(map(len, narrow)) - COLUMNS) <= 0:
        return narrow
    first = max(len(visible(row[0])) for row in cells)
    width = max(_LEAST_NAME, first - beyond)
    return _aligned([(shortened(row[0], width), *row[1:]) for row in cells], left, gap=1)


def _aligned(cells: Sequence[Sequence[str]], left: str, *, gap: int) -> Lines:
    shown = [[visible(cell) for cell in row] for row in cells]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    lines = []
    for row in shown:
        padded = []
        for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
            blanks = " " * (width - cell_len(cell))
            is_left = left[index : index + 1] == "l"
            padded.append(cell + blanks if is_left else blanks + cell)
        lines.append((" " * gap).join(padded).rstrip())
    return lines
