"""Which format's rounding a comparison is read against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netdistance.quantities import point
from netdistance.report.document import TensorRow

# from the finest to the coarsest, as people name them
_FORMATS = {"bf16": "bf16", "int8": "int8", "fp8": "fp8", "int4": "int4"}
# nominal rounding is within 10% of real rounding on large Gaussian weights, further on small ones
_ROUNDING = 1.2


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """A format, and the largest and smallest multiple of its rounding that a weight moved."""

    format: str
    smallest: float
    largest: float

    @property
    def metric(self) -> str:
        """The name of the multiple in a tensor's metrics."""
        return f"rounding_multiple_{self.format}"

    @property
    def explains(self) -> bool:
        """Whether no weight moved more than rounding to the format would move it."""
        return self.largest <= _ROUNDING


def noise_floor(rows: Sequence[TensorRow]) -> NoiseFloor | None:
    """The finest format whose rounding explains every moved weight; else the coarsest.

    None where no moved weight has a multiple.
    """
    floors = [floor for name in _FORMATS if (floor := _floor(rows, name)) is not None]
    return next((floor for floor in floors if floor.explains), floors[-1] if floors else None)


def multiple(row: TensorRow, name: str) -> float | None:
    """How many times the rounding of a format a tensor moved, where that is known and not 0."""
    quantity = row.metrics.get(f"rounding_multiple_{name}")
    return (point(quantity) or None) if quantity is not None else None


def _floor(rows: Sequence[TensorRow], name: str) -> NoiseFloor | None:
    multiples = [m for row in rows if (m := multiple(row, name)) is not None]
    moved = [
        row
        for row in rows
        if len(row.shape) >= 2
        and (change := row.metrics.get("relative_frobenius")) is not None
        and point(change)
    ]
    # a format that says nothing of some moved weight explains nothing
    if not multiples or len(multiples) < len(moved):
        return None
    return NoiseFloor(name, min(multiples), max(multiples))
