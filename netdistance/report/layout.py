"""The building blocks of terminal text: wrapped paragraphs and aligned tables."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

# rich's measure of wide letters alone: its tables cost 0.1 s to import
from rich.cells import cell_len

from netdistance.report.escape import abbreviated, visible

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

    They stand two blanks apart. Where that is wider than 80 columns they stand closer, then titles
    take two lines, then the names in the first column are abbreviated.
    """
    cells = list(rows)
    two_lines = list(zip(*(_in_two(title) for title in header), strict=True))
    two_lines = two_lines if any(two_lines[0]) else [tuple(header)]  # all titles are single words
    for titles, gap in (([header], 2), ([header], 1), (two_lines, 2), (two_lines, 1)):
        lines = _aligned([*titles, *cells], left, gap=gap)
        beyond = max(map(cell_len, lines)) - COLUMNS
        if beyond <= 0:
            return lines
    width = max(_LEAST_NAME, max(cell_len(visible(row[0])) for row in cells) - beyond)
    fitted = [(abbreviated(row[0], width), *row[1:]) for row in cells]
    return _aligned([*two_lines, *fitted], left, gap=1)


def _in_two(title: str) -> tuple[str, str]:
    """A title in two lines, cut where the longer of them is shortest; the lower one is full."""
    words = title.split(" ")
    cuts = [(" ".join(words[:place]), " ".join(words[place:])) for place in range(len(words))]
    return min(cuts, key=lambda cut: max(map(len, cut)))


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
