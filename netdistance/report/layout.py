"""The building blocks of terminal text: wrapped paragraphs and aligned tables."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from io import StringIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from netdistance.report.escape import visible

COLUMNS = 80
Lines = list[str]


def paragraph(text: str, *, indent: str = "") -> Lines:
    """Text wrapped to 80 columns, made safe to show; `indent` begins every line but the first."""
    return textwrap.wrap(
        visible(text), COLUMNS, subsequent_indent=indent, break_on_hyphens=False
    ) or [""]


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, left: str = "l") -> Lines:
    """Aligned columns: to the left where `left` has an l at their place, numbers to the right."""
    grid = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False)
    for index, title in enumerate(header):
        grid.add_column(
            Text(title), justify="left" if left[index : index + 1] == "l" else "right", no_wrap=True
        )
    for row in rows:
        grid.add_row(*(Text(visible(cell)) for cell in row))
    target = StringIO()
    # a table is laid out at its own width: 80 columns are the callers' business, not rich's
    Console(file=target, width=240, color_system=None, markup=False).print(grid)
    return [line.rstrip() for line in target.getvalue().splitlines()]
