"""The first line of a training comparison: the best optimiser, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from netdistance.quantities import Skipped
from netdistance.report.run_groups import RunGroup, are_judged, best_group, group_runs
from netdistance.report.run_rows import RunRow
from netdistance.report.wording import count, percent, plain_number


def train_verdict(runs: Sequence[RunRow]) -> str:
    """Which optimiser and learning rate does best on the test set, and its trust."""
    groups = group_runs(runs, by_depth=False)
    lost = sum(group.diverged for group in groups)
    if lost == len(runs):
        return f"Every run diverged ({len(runs):,} of {len(runs):,}): try smaller learning rates."
    best = best_group(groups)
    told = _accuracy(best) if are_judged(runs) else _loss(best)
    rate = f"{best.optimizer} at learning rate {best.lr:g}"
    return f"{rate} does best: {told}, {_trust(best)}. {_diverged(lost, len(runs))}"


def _accuracy(group: RunGroup) -> str:
    accuracies = group.final("test_accuracy")
    if len(group.runs) == 1:
        return f"{percent(accuracies[0])} test accuracy"
    mean = percent(sum(accuracies) / len(group.runs))
    ends = f"{percent(min(accuracies))} to {percent(max(accuracies))}"
    return f"{mean} mean test accuracy over {count(len(group.runs), 'run')} ({ends})"


def _loss(group: RunGroup) -> str:
    losses = group.final("test_loss")
    mean = sum(losses) / len(losses)
    if len(losses) == 1:
        return f"test loss {mean:.3g}"
    ends = f"{min(losses):.3g} to {max(losses):.3g}"
    return f"mean test loss {mean:.3g} over {count(len(losses), 'run')} ({ends})"


def _trust(group: RunGroup) -> str:
    values = group.trust()
    if not values:
        trust = group.runs[0].trust_from_start
        reason = trust.reason if isinstance(trust, Skipped) else ""
        return f"without deep relative trust from the start ({reason})"
    ends = dict.fromkeys((plain_number(min(values), 3), plain_number(max(values), 3)))
    return f"with deep relative trust from the start at x {' to '.join(ends)}"


def _diverged(lost: int, runs: int) -> str:
    return f"{lost:,} of {count(runs, 'run')} diverged." if lost else "No run diverged."
