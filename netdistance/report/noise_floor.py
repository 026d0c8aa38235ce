"""Which format's rounding a comparison is read against."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netdistance.quantities import Skipped, point
from netdistance.report.document import TensorRow

# from the finest to the coarsest
FORMATS = ("bf16", "int8", "fp8", "int4")
# nominal rounding is within 10% of real rounding on large Gaussian weights, further on small ones
_ROUNDING = (0.7, 1.2)
# where so many weights moved as far as rounding would move them, they were rounded
_MOST = 0.75
_ON_GRID = re.compile(r"a already is on the (\w+) grid")


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """A format, and how many times its rounding each weight moved, by name.

    `beyond` are those that moved more than rounding explains, the furthest first.
    """

    format: str
    multiples: Mapping[str, float]

    @property
    def metric(self) -> str:
        """The name of the multiple in a tensor's metrics."""
        return f"rounding_multiple_{self.format}"

    @property
    def largest(self) -> float:
        """The largest multiple."""
        return max(self.multiples.values())

    @property
    def beyond(self) -> tuple[str, ...]:
        """The weights that moved more than rounding to the format would move them."""
        above = [(m, name) for name, m in self.multiples.items() if m > _ROUNDING[1]]
        return tuple(name for _, name in sorted(above, reverse=True))

    @property
    def explains(self) -> bool:
        """Whether no weight moved more than rounding to the format would move it."""
        return not self.beyond

    @property
    def is_rounding(self) -> bool:
        """Whether most weights moved just as far as rounding to the format would move them."""
        near = [_ROUNDING[0] <= m <= _ROUNDING[1] for m in self.multiples.values()]
        return sum(near) >= _MOST * len(near)


def noise_floor(rows: Sequence[TensorRow]) -> NoiseFloor | None:
    """The finest format that most weights look rounded to, or whose rounding explains them all.

    Else the coarsest; None where no moved weight has a multiple. A format that says nothing of some
    moved weight is none of these.
    """
    floors = [floor for name in FORMATS if (floor := _floor(rows, name)) is not None]
    fitting = (floor for floor in floors if floor.is_rounding or floor.explains)
    return next(fitting, floors[-1] if floors else None)


def held_by(rows: Sequence[TensorRow]) -> dict[str, int]:
    """The formats that hold weights of a already, and how many, the finest format first."""
    held = Counter(
        found[1]
        for row in rows
        for q in row.metrics.values()
        if isinstance(q, Skipped) and (found := _ON_GRID.match(q.reason))
    )
    return {name: held[name] for name in FORMATS if held[name]}


def times(multiple: float) -> str:
    """A multiple in two digits.

    >>> times(1.0), times(0.348), times(13.2), times(1234.0)
    ('1.0', '0.35', '13', '1.2e+03')
    """
    return f"{multiple:.1f}" if 0.995 <= multiple < 9.95 else f"{multiple:.2g}"


def beyond_rounding(multiple: float, name: str) -> str:
    """How far beyond a format's rounding something moved.

    >>> beyond_rounding(3.52, "int4")
    'moved 3.5 x as far as int4 rounding does'
    """
    return f"moved {times(multiple)} x as far as {name} rounding does"


def _floor(rows: Sequence[TensorRow], name: str) -> NoiseFloor | None:
    metric = f"rounding_multiple_{name}"
    # of tensors that moved and have rows, whatever else says nothing of them
    moved = [row for row in rows if len(row.shape) >= 2 and _moved(row)]
    multiples = {
        row.name: m for row in moved if metric in row.metrics and (m := point(row.metrics[metric]))
    }
    return NoiseFloor(name, multiples) if multiples and len(multiples) == len(moved) else None


def _moved(row: TensorRow) -> bool:
    change = row.metrics.get("relative_frobenius")
    return change is not None and bool(point(change))
