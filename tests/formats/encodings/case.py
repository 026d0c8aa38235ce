"""One packed file and what the reference library decodes it to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]
# writes a checkpoint, or a folder with one, and gives its path and the reference's numbers by name
Writer = Callable[[Path], tuple[Path, Arrays]]


@dataclass(frozen=True)
class Case:
    """`encoding` is the name in ENCODINGS.

    The reference's arrays are in the type that it decodes to: ours, rounded to it, has to be equal
    bit for bit.
    """

    encoding: str
    name: str
    write: Writer
    damage: Callable[[Path], None] | None = None  # makes the written file one that is refused

    def __str__(self) -> str:
        return f"{self.encoding}, {self.name}"
