"""The numbers that each container can hold, as whoever writes it rounds to them.

A floor is what rounding costs, so it is taken by rounding for real, with the encoders of
`netdistance.grids` that simulate and write compressed weights: round to nearest, no calibration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from netdistance.grids.floats import FP32, Number, rounded
from netdistance.grids.quantiser import Cut, Quantiser

Floats = NDArray[np.float64]
Round = Callable[[Floats], NDArray[Any]]

# elements that are looked at together where a grid has no groups of its own, or larger ones
SEGMENT = 128


@dataclass(frozen=True, slots=True)
class Grid:
    """A format's numbers. `rounded` takes rows (R, C) and gives the nearest that it can hold.

    `name` is the format for a report, such as int4 or bf16; `cut` says what shares a scale, and
    rows that are rounded begin where a group does. `calibrated`: the quantisers that write this
    container accept a larger change of weights for a smaller one of outputs. `spacing` is between a
    number and the next: arithmetic in such a type rounds what it holds too.
    """

    name: str
    rounded: Round
    cut: Cut
    calibrated: bool = False
    spacing: Round | None = None

    @classmethod
    def of(
        cls, name: str, quantiser: Quantiser, largest: float = 0.0, *, calibrated: bool = False
    ) -> Self:
        """That of codes; `largest` is of the whole tensor, where one scale serves it."""
        return cls(name, partial(quantiser.rounded, largest=largest), quantiser.cut, calibrated)

    @classmethod
    def plain(cls, name: str, number: Number, spacing: Round | None = None) -> Self:
        """That of a type without scales; what is beyond its largest number becomes that."""

        def nearest(rows: Floats) -> NDArray[Any]:
            return np.clip(rounded(number, rows), -number.top, number.top)

        return cls(name, nearest, Cut(), spacing=spacing)

    @property
    def segment(self) -> int:
        """How many elements along a row are judged together."""
        return min(self.cut.group or SEGMENT, SEGMENT)


def float32_spacing(values: Floats) -> Floats:
    """From each magnitude, as a float32, to the next."""
    return np.spacing(np.abs(rounded(FP32, values))).astype(np.float64)
