"""One run made once: found finished under the output folder, or trained now."""

from __future__ import annotations

from pathlib import Path

from netdistance.progress import Advance
from netdistance.training.run import Evaluation, RunResult, RunSettings, run_training
from netdistance.training.run_files import evaluation_lines, finished_result, save_run
from netdistance.training.tasks import Task


def run_or_resume(settings: RunSettings, task: Task, out: Path, advance: Advance) -> RunResult:
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
