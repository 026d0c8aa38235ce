"""Training runs that differ only in their seed, or in seed and depth, taken together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netdistance.quantities import point
from netdistance.report.run_rows import CurvePoint, RunRow


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
    def finished(self) -> tuple[RunRow, ...]:
        """The runs that did not diverge."""
        return tuple(run for run in self.runs if run.status == "finished")

    @property
    def diverged(self) -> int:
        """How many of the runs diverged."""
        return sum(run.status == "diverged" for run in self.runs)

    def final(self, key: str) -> list[float]:
        """The final values of that name which are finite."""
        return [value for run in self.runs if (value := run.final.get(key)) is not None]

    def trust(self) -> list[float]:
        """Deep relative trust from the start, of the runs that have it."""
        points = (point(run.trust_from_start) for run in self.runs)
        return [value for value in points if value is not None]

    def at_end(self, of: Callable[[CurvePoint], float | None]) -> list[float]:
        """A number of the last point of each curve, where there is one."""
        found = (of(run.curve[-1]) for run in self.runs if run.curve)
        return [value for value in found if value is not None]

    def along(self, of: Callable[[CurvePoint], float | None]) -> dict[int, list[float]]:
        """A number at each step of the curves, over the runs that have it there."""
        found: dict[int, list[float]] = {}
        for place in (place for run in self.runs for place in run.curve or ()):
            value = of(place)
            if value is not None:
                found.setdefault(place.step, []).append(value)
        return dict(sorted(found.items()))

    def score(self, *, judged: bool) -> tuple[float, float]:
        """What ranks groups: mean test accuracy where there is one, then low loss.

        A diverged run counts as an accuracy of 0, so that losing seeds does not pay; without
        accuracies at all, as in a regression, the fewest diverged runs come first, then the lowest
        test loss.
        """
        losses = self.final("train_loss" if judged else "test_loss")
        low = -mean_and_spread(losses)[0] if losses else -math.inf
        if judged:
            kept = RunGroup(self.optimizer, self.lr, self.finished)
            return sum(kept.final("test_accuracy")) / len(self.runs), low
        return -self.diverged / len(self.runs), low


def are_judged(runs: Sequence[RunRow]) -> bool:
    """Whether the task has an accuracy, as far as its runs can tell."""
    ends = [(run.final.get("test_loss"), run.final.get("test_accuracy")) for run in runs]
    ends += [(p.test_loss, p.test_accuracy) for run in runs for p in run.curve or ()]
    told = [accuracy is not None for loss, accuracy in ends if loss is not None]
    return not told or any(told)


def group_runs(runs: Sequence[RunRow], *, by_depth: bool) -> list[RunGroup]:
    """The groups in the order of their first runs."""
    members: dict[tuple[str, float, int | None], list[RunRow]] = {}
    for run in runs:
        key = (run.optimizer, run.lr, run.depth if by_depth else None)
        members.setdefault(key, []).append(run)
    return [RunGroup(name, lr, tuple(rows)) for (name, lr, _), rows in members.items()]


def best_group(groups: Sequence[RunGroup]) -> RunGroup:
    """The group with the best score; the first of equals."""
    judged = are_judged([run for group in groups for run in group.runs])
    return max(groups, key=lambda group: group.score(judged=judged))


def best_learning_rates(groups: Sequence[RunGroup]) -> list[RunGroup]:
    """Of each optimiser and depth the group with the best learning rate, in order."""
    rivals: dict[tuple[int, str], list[RunGroup]] = {}
    for group in groups:
        rivals.setdefault((group.depth, group.optimizer), []).append(group)
    return [best_group(members) for members in rivals.values()]
