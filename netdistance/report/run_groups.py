"""Training runs that differ only in their seed, or in seed and depth, taken together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from netdistance.quantities import point
from netdistance.report.document import RunRow


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation, 0 for a single value; infinite where float64 overflows.

    >>> mean_and_spread([1.0, 3.0]), mean_and_spread([1.7e308, 1.7e308])
    ((2.0, 1.4142135623730951), (inf, inf))
    """
    try:
        mean = statistics.fmean(values)
        return mean, statistics.stdev(values) if len(values) > 1 else 0.0
    except OverflowError:
        return math.inf, math.inf


@dataclass(frozen=True, slots=True)
class RunGroup:
    """Runs of one optimiser and learning rate."""

    optimizer: str
    lr: float
    runs: tuple[RunRow, ...]

    @property
    def depth(self) -> int:
        """The depth of the first run: of all, in a group by depth."""
        return self.runs[0].depth

    @property
    def diverged(self) -> int:
        """How many of the runs diverged."""
        return sum(run.status == "diverged" for run in self.runs)

    def final(self, key: str) -> list[float]:
        """The final values of that name which are finite."""
        return [value for run in self.runs if (value := run.final[key]) is not None]

    def trust(self) -> list[float]:
        """Deep relative trust from the start, of the runs that have it."""
        points = (point(run.trust_from_start) for run in self.runs)
        return [value for value in points if value is not None]

    def score(self) -> tuple[float, float]:
        """What ranks groups: mean test accuracy, then low training loss.

        A run without a finite accuracy counts as 0, so that losing seeds does not pay.
        """
        losses = self.final("train_loss")
        accuracy = sum(self.final("test_accuracy")) / len(self.runs)
        return accuracy, -mean_and_spread(losses)[0] if losses else -math.inf


def group_runs(runs: Sequence[RunRow], *, by_depth: bool) -> list[RunGroup]:
    """The groups in the order of their first runs."""
    members: dict[tuple[str, float, int | None], list[RunRow]] = {}
    for run in runs:
        key = (run.optimizer, run.lr, run.depth if by_depth else None)
        members.setdefault(key, []).append(run)
    return [RunGroup(name, lr, tuple(rows)) for (name, lr, _), rows in members.items()]
