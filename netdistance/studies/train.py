"""train: which optimiser learns the task, and how far does it move the network?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from netdistance.bounds.trust import trust_from_log1p_sum
from netdistance.errors import UsageError
from netdistance.progress import SILENT, Advance, Progress
from netdistance.quantities import Exact, Skipped
from netdistance.report.document import Report, RunRow, Verdict
from netdistance.report.provenance import provenance
from netdistance.report.train_verdict import train_verdict
from netdistance.training.optimizers import find_optimizer
from netdistance.training.run import Evaluation, RunResult, RunSettings, run_training
from netdistance.training.run_files import (
    evaluation_lines,
    finished_result,
    make_folder,
    save_run,
)
from netdistance.training.tasks import Task, load_task

# beyond it the optimisers' own scalars overflow float32
_LARGEST_LR = 1e30


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What is compared: every optimiser at every learning rate, depth and seed.

    `depths` count hidden layers; `seeds` is how many, from 0 up. Finished runs found under `out`
    are not repeated.
    """

    out: Path
    task: str = "checkerboard"
    optimizers: tuple[str, ...] = ("fromage", "sgd", "adamw")
    lrs: tuple[float, ...] = (0.01,)
    depths: tuple[int, ...] = (3,)
    width: int = 32
    seeds: int = 1
    steps: int = 4000


def train(options: TrainOptions, *, progress: Progress = SILENT) -> Report:
    """The report of a training comparison, whose checkpoints and evaluations are under `out`.

    Raises:
        UsageError: an unknown task or optimiser, or a setting out of range.
        OutputError: a file under `out` cannot be written.
    """
    _validate(options)
    task = load_task(options.task)
    make_folder(Path(options.out))
    plan = _plan(options)
    with progress.task("training", total=options.steps * len(plan)) as advance:
        rows = tuple(
            _row(settings, _result(settings, task, Path(options.out), advance)) for settings in plan
        )
    return Report(
        study="train",
        provenance=provenance(options),
        verdict=Verdict(train_verdict(rows)),
        runs=rows,
    )


def _plan(options: TrainOptions) -> list[RunSettings]:
    """The runs, each once: seeds vary fastest, then learning rates, optimisers, depths."""
    product = itertools.product(
        dict.fromkeys(options.depths),
        dict.fromkeys(options.optimizers),
        dict.fromkeys(map(float, options.lrs)),
        range(options.seeds),
    )
    return [
        RunSettings(options.task, name, lr, depth, options.width, seed, options.steps)
        for depth, name, lr, seed in product
    ]


def _result(settings: RunSettings, task: Task, out: Path, advance: Advance) -> RunResult:
    """The result found under `out`, or that of a run made now."""
    found = finished_result(out, settings)
    if found is not None:
        advance(settings.steps)
        return found
    done = 0
    with evaluation_lines(out, settings) as write_line:

        def on_evaluation(evaluation: Evaluation) -> None:
            nonlocal done
            write_line(evaluation)
            advance(evaluation.step - done)
            done = evaluation.step

        run = run_training(settings, task, on_evaluation=on_evaluation)
    save_run(out, settings, run)
    advance(settings.steps - done)
    return run.result


def _row(settings: RunSettings, result: RunResult) -> RunRow:
    final = result.final
    return RunRow(
        task=settings.task,
        optimizer=settings.optimizer,
        lr=settings.lr,
        depth=settings.depth,
        width=settings.width,
        seed=settings.seed,
        status=result.status,
        final={
            "train_loss": final.train_loss,
            "train_accuracy": final.train_accuracy,
            "test_accuracy": final.test_accuracy,
        },
        trust_from_start=_trust(result.log1p_sum),
    )


def _trust(log1p_sum: float | None) -> Exact | Skipped:
    if log1p_sum is None:
        return Skipped("a weight is not finite at the end of the run")
    return trust_from_log1p_sum(log1p_sum)


def _validate(options: TrainOptions) -> None:
    for name, values in (
        ("optimizer", options.optimizers),
        ("learning rate", options.lrs),
        ("depth", options.depths),
    ):
        if not values:
            raise UsageError(f"no {name} is given: name at least one")
    for optimizer in options.optimizers:
        find_optimizer(optimizer)
    for lr in options.lrs:
        if not (math.isfinite(lr) and 0.0 < lr <= _LARGEST_LR):
            raise UsageError(f"learning rate {lr}: expected a number above 0, up to 1e30")
    _require_positive("depth", options.depths)
    _require_positive("width", [options.width])
    _require_positive("seeds", [options.seeds])
    _require_positive("steps", [options.steps])


def _require_positive(name: str, values: Sequence[int]) -> None:
    for value in values:
        if value < 1:
            raise UsageError(f"{name} is {value}: expected a whole number, 1 or more")
