"""One run made once: found finished under the output folder, or trained now."""

from __future__ import annotations

from netdistance.progress import Advance
from netdistance.training.evaluation import Evaluation
from netdistance.training.run import RunResult, run_training
from netdistance.training.run_files import RunFiles
from netdistance.training.tasks import Task
from netdistance.training.weight_norms import State


def run_or_resume(files: RunFiles, task: Task, advance: Advance) -> RunResult:
    """The result found in the files, or that of a run made now; `advance` counts steps.

    Raises:
        InputError: the task file's own network fails.
        OutputError: a file cannot be written.
    """
    steps = files.settings.steps
    found = files.finished_result()
    if found is not None:
        advance(steps)
        return found
    done = 0
    with files.listening() as listen:

        def on_evaluation(evaluation: Evaluation, state: State) -> None:
            nonlocal done
            listen(evaluation, state)
            advance(evaluation.point.step - done)
            done = evaluation.point.step

        run = run_training(files.settings, task, on_evaluation)
    files.save(run)
    advance(steps - done)
    return run.result
