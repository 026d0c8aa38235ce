"""The words for how a number is known: exact, an interval, an estimate, or skipped with a reason.

A result never holds a bare float: it holds one of these four, so that a reader can always tell a
theorem from a sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, assert_never


def _require_finite(**values: float) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}: a quantity holds finite numbers; use Skipped")


@dataclass(frozen=True, slots=True)
class Exact:
    """A number computed from all of its inputs, up to stated rounding."""

    value: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):  # in place: a report holds hundreds of thousands
            _require_finite(value=self.value)


@dataclass(frozen=True, slots=True)
class Interval:
    """Proved to lie between two ends; `confidence` below 1 where the proof is probabilistic.

    Raises:
        ValueError: an end is not finite, the ends are crossed, or confidence is not in (0, 1].
    """

    lower: float
    upper: float
    confidence: float = 1.0

    def __post_init__(self) -> None:
        _require_finite(lower=self.lower, upper=self.upper)
        if self.lower > self.upper:
            raise ValueError(f"crossed interval: lower {self.lower} > upper {self.upper}")
        if not 0.0 < self.confidence <= 1.0:
            raise ValueError(f"confidence is {self.confidence}, expected 0 < confidence <= 1")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A sampled or first-order number with its standard error, 0 where nothing was drawn."""

    value: float
    stderr: float

    def __post_init__(self) -> None:
        _require_finite(value=self.value, stderr=self.stderr)
        if self.stderr < 0.0:
            raise ValueError(f"stderr is {self.stderr}, expected a number >= 0")


@dataclass(frozen=True, slots=True)
class Skipped:
    """No number, and why."""

    reason: str


Quantity = Exact | Interval | Estimate | Skipped


def point(quantity: Quantity) -> float | None:
    """The number to print or plot: the value, an interval's upper end, or None where skipped.

    >>> point(Interval(0.0, 2.5)), point(Skipped("needs --model"))
    (2.5, None)
    """
    match quantity:
        case Exact(value) | Estimate(value, _):
            return value
        case Interval(_, upper, _):
            return upper
        case Skipped():
            return None
        case _ as unreachable:
            assert_never(unreachable)


def to_json(quantity: Quantity) -> dict[str, Any]:
    """The quantity as the report's JSON object `Q`.

    >>> to_json(Exact(0.5))
    {'kind': 'exact', 'value': 0.5}
    """
    match quantity:
        case Exact(value):
            return {"kind": "exact", "value": value}
        case Interval(lower, upper, confidence):
            return {"kind": "interval", "lower": lower, "upper": upper, "confidence": confidence}
        case Estimate(value, stderr):
            return {"kind": "estimate", "value": value, "stderr": stderr}
        case Skipped(reason):
            return {"kind": "skipped", "reason": reason}
        case _ as unreachable:
            assert_never(unreachable)
