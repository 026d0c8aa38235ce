"""The files of one run: evaluation lines, two checkpoints, and a result that marks it finished.

Under the folder of a comparison, `<run-id>.jsonl` grows while the run lasts; `<run-id>/` holds
`initial.safetensors`, `final.safetensors` and, written last, `result.json`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch

from netdistance.errors import OutputError
from netdistance.report.files import write_atomically
from netdistance.training.run import Evaluation, RunResult, RunSettings, TrainedRun

CHECKPOINTS = ("initial.safetensors", "final.safetensors")


def run_id(settings: RunSettings) -> str:
    """A file name that holds every setting, so that no run replaces another.

    >>> run_id(RunSettings("checkerboard", "sgd", 1e-5, depth=3, width=32, seed=0, steps=500))
    'checkerboard-sgd-lr1e-05-depth3-width32-steps500-seed0'
    """
    s = settings
    size = f"depth{s.depth}-width{s.width}-steps{s.steps}"
    return f"{s.task}-{s.optimizer}-lr{s.lr!r}-{size}-seed{s.seed}"


def finished_result(out: Path, settings: RunSettings) -> RunResult | None:
    """The result of a run that these settings have completed under `out`, or None.

    A damaged or foreign `result.json`, or a missing checkpoint, means that the run is repeated.
    """
    folder = out / run_id(settings)
    if not all((folder / name).is_file() for name in CHECKPOINTS):
        return None
    try:
        document = json.loads((folder / "result.json").read_bytes())
        if document["settings"] != asdict(settings):
            return None
        result = document["result"]
        return RunResult(**{**result, "final": Evaluation(**result["final"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save_run(out: Path, settings: RunSettings, run: TrainedRun) -> None:
    """Write both checkpoints, then the result: a run killed before that is repeated.

    Raises:
        OutputError: a file cannot be written.
    """
    folder = out / run_id(settings)
    make_folder(folder)
    for name, state in zip(CHECKPOINTS, (run.initial_state, run.final_state), strict=True):
        write_atomically(folder / name, safetensors.torch.save(state))
    document = {"settings": asdict(settings), "result": asdict(run.result)}
    write_atomically(folder / "result.json", _json_line(document))


@contextmanager
def evaluation_lines(out: Path, settings: RunSettings) -> Iterator[Callable[[Evaluation], None]]:
    """A listener that appends each evaluation to `<run-id>.jsonl`, begun anew.

    Raises:
        OutputError: the file cannot be written.
    """
    path = out / f"{run_id(settings)}.jsonl"
    try:
        # unbuffered: a killed run leaves whole lines, and tail -f sees them at once
        with path.open("wb", buffering=0) as file:
            yield lambda evaluation: _append(file.write, asdict(evaluation))
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def make_folder(path: Path) -> None:
    """The folder and its parents, made where they are missing.

    Raises:
        OutputError: it cannot be made, or a file stands there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be made: {error.strerror}") from error


def _append(write: Callable[[bytes], object], document: dict[str, Any]) -> None:
    write(_json_line(document))


def _json_line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, allow_nan=False).encode("ascii") + b"\n"
