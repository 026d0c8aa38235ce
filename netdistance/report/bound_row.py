"""The row of a bound, in whichever section of a report it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from netdistance.quantities import Quantity
from netdistance.report.optional import OPTIONAL

Standing = Literal["certified", "estimated", "modelled"]
Over = Literal["ball", "draws", "known"]


@dataclass(frozen=True, slots=True)
class BoundRow:
    """A bound, what standing it has, and the largest measurement on the same inputs beside it."""

    name: str
    standing: Standing
    over: Over
    inputs: int | None
    value: Quantity
    measured: Quantity
    assumptions: tuple[str, ...] = ()
    log1p_sum: Quantity | None = field(default=None, metadata=OPTIONAL)
    log10: Quantity | None = field(default=None, metadata=OPTIONAL)
    top1_unchanged: Quantity | None = field(default=None, metadata=OPTIONAL)
