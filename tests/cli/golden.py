"""Texts that a person reads, kept word for word.

`NETDISTANCE_UPDATE_GOLDEN=1 pytest tests/cli` writes them anew; read the difference before keeping
it.
"""

from __future__ import annotations

import os
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"


def golden_problem(name: str, text: str, *, folder: Path = GOLDEN) -> str:
    """How `text` differs from the golden file, empty where it is the same to the last byte."""
    path = folder / name
    if os.environ.get("NETDISTANCE_UPDATE_GOLDEN") == "1":
        path.write_text(text, encoding="utf-8", newline="")
        return ""
    if not path.is_file():
        return f"{name} does not exist; NETDISTANCE_UPDATE_GOLDEN=1 writes it"
    expected = path.read_bytes().decode("utf-8")
    if text == expected:
        return ""
    shown, kept = text.splitlines(keepends=True), expected.splitlines(keepends=True)
    at = next(
        (i for i, (x, y) in enumerate(zip(shown, kept, strict=False)) if x != y),
        min(len(shown), len(kept)),
    )
    return f"{name}, line {at + 1}: now {shown[at : at + 1]}, kept {kept[at : at + 1]}"


def wide_lines(text: str, columns: int = 80) -> list[str]:
    """The lines that do not fit into a terminal."""
    return [line for line in text.splitlines() if len(line) > columns]
