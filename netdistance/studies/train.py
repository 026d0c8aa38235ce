"""train: which optimiser learns the task, and how far does it move the network?"""

from __future__ import annotations

from pathlib import Path

from netdistance.bounds.trust import trust_from_log1p_sum
from netdistance.progress import SILENT, Progress
from netdistance.quantities import Exact, Skipped
from netdistance.report.document import Report, RunRow, Verdict
from netdistance.report.provenance import provenance
from netdistance.report.train_verdict import train_verdict
from netdistance.training.plan import TrainOptions, planned_runs
from netdistance.training.resume import run_or_resume
from netdistance.training.run import RunResult, RunSettings
from netdistance.training.run_files import make_folder
from netdistance.training.tasks import load_task

__all__ = ["TrainOptions", "train"]


def train(options: TrainOptions, *, progress: Progress = SILENT) -> Report:
    """The report of a training comparison, whose checkpoints and evaluations are under `out`.

    Raises:
        UsageError: an unknown task or optimiser, or a setting out of range.
        OutputError: a file under `out` cannot be written.
    """
    plan = planned_runs(options)
    task = load_task(options.task)
    out = Path(options.out)
    make_folder(out)
    with progress.task("training", total=options.steps * len(plan)) as advance:
        rows = tuple(_row(run, run_or_resume(run, task, out, advance)) for run in plan)
    return Report(
        study="train",
        provenance=provenance(options),
        verdict=Verdict(train_verdict(rows)),
        runs=rows,
    )


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
