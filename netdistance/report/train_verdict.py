"""The first line of a training comparison: the best optimiser, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from netdistance.report.document import RunRow
from netdistance.report.run_groups import RunGroup, group_runs
from netdistance.report.wording import count, percent


def train_verdict(runs: Sequence[RunRow]) -> str:
    """Which optimiser and learning rate reached the best mean test accuracy, and its trust."""
    groups = group_runs(runs, by_depth=False)
    lost = sum(group.diverged for group in groups)
    if lost == len(runs):
        return f"Every run diverged ({len(runs):,} of {len(runs):,}): try smaller learning rates."
    best = max(groups, key=RunGroup.score)
    return f"{_accuracy(best)}, {_trust(best)}. {_diverged(lost, len(runs))}"


def _accuracy(group: RunGroup) -> str:
    text = f"{group.optimizer} at learning rate {group.lr:g} does best: "
    accuracies = group.final("test_accuracy")
    if len(group.runs) == 1:
        return text + f"{percent(accuracies[0])} test accuracy"
    mean = percent(group.score()[0])
    ends = f"{percent(min(accuracies))} to {percent(max(accuracies))}"
    return text + f"{mean} mean test accuracy over {count(len(group.runs), 'run')} ({ends})"


def _trust(group: RunGroup) -> str:
    values = group.trust()
    if not values:
        return "with deep relative trust from the start beyond float64"
    ends = f"{min(values):.3g}" if len(values) == 1 else f"{min(values):.3g} to {max(values):.3g}"
    return f"with deep relative trust from the start at x {ends}"


def _diverged(lost: int, runs: int) -> str:
    return f"{lost:,} of {count(runs, 'run')} diverged." if lost else "No run diverged."
