"""The building blocks of terminal text: wrapped paragraphs and aligned tables."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

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
    grid = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, show_header=False)
    for index in range(len(cells[0])):
        side: Literal["left", "right"] = "left" if left[index : index + 1] == "l" else "right"
        grid.add_column(justify=side, no_wrap=True)
    for row in cells:
        grid.add_row(*(Text(visible(cell)) for cell in row))
    target = StringIO()
    # laid out at its own width: rich would cut cells to fit its console
    Console(file=target, width=240, color_system=None, markup=False).print(grid)
    return [line.rstrip() for line in target.getvalue().splitlines()]
