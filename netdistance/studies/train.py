"""train: which optimiser learns the task, and how far does it move the network?"""

from __future__ import annotations

from pathlib import Path

from netdistance.progress import SILENT, Progress
from netdistance.report.document import Report, Verdict
from netdistance.report.files import make_folder
from netdistance.report.provenance import provenance
from netdistance.report.run_rows import RunRow
from netdistance.report.train_verdict import train_verdict
from netdistance.training.evaluation import data_note
from netdistance.training.plan import TrainOptions, planned_runs
from netdistance.training.resume import run_or_resume
from netdistance.training.run import RunResult, RunSettings, require_trainable
from netdistance.training.run_files import RunFiles, save_examples
from netdistance.training.signature import Signature
from netdistance.training.tasks import load_task

__all__ = ["TrainOptions", "train"]


def train(options: TrainOptions, *, progress: Progress = SILENT) -> Report:
    """The report of a training comparison, whose checkpoints and evaluations are under `out`.

    Raises:
        UsageError: an unknown task, network or optimiser, or a setting out of range.
        InputError: the task's file or data cannot be used, or its own network fails.
        OutputError: a file under `out` cannot be written.
    """
    options.require_consistent()
    task = load_task(options.task, options.data)
    plan = planned_runs(options, task)
    require_trainable(plan, task)
    out = Path(options.out)
    make_folder(out)
    save_examples(out, task)
    of = Signature.of(task)
    with progress.task("training", total=options.steps * len(plan)) as advance:
        files = [RunFiles(out, run, of, options.keep_checkpoints) for run in plan]
        rows = tuple(_row(f.settings, run_or_resume(f, task, advance)) for f in files)
    return Report(
        study="train",
        provenance={**provenance(options), "data": data_note(task)},
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
            "test_loss": final.test_loss,
        },
        trust_from_start=final.trust_from_start,
        network=settings.network,
        curve=result.curve,
    )
