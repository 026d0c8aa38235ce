"""The files of one run: evaluation lines, checkpoints, and a result that marks it finished.

Under the folder of a comparison, `<run-id>.jsonl` grows while the run lasts; `<run-id>/` holds
`initial.safetensors`, `final.safetensors`, those between them as `step-0000200.safetensors` where
they are kept, `network.py` with a factory of the network, and, written last, `result.json`.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch

from netdistance.checkpoints import open_checkpoint
from netdistance.errors import CheckpointError, InputError, OutputError
from netdistance.report.document import to_document
from netdistance.report.files import make_folder, write_atomically
from netdistance.report.from_json import read_value
from netdistance.training.evaluation import Evaluation, judged_examples
from netdistance.training.initial import INIT_NAMES
from netdistance.training.run import BATCH, OWN, Listener, RunResult, RunSettings, TrainedRun
from netdistance.training.signature import Signature
from netdistance.training.tasks import Task
from netdistance.training.weight_norms import State

_EXAMPLES = 1_000
_UNSAFE = re.compile(r"[^A-Za-z0-9_.]")
_INITIAL, _FINAL, _RESULT = "initial.safetensors", "final.safetensors", "result.json"


_NETWORK_FILE = '''"""The network of this run, untrained: --model network.py:build."""

from netdistance.training.models import untrained
from netdistance.training.signature import Signature


def build():
    return untrained({name!r}, {signature!r}, {size})
'''


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Where the files of a run are, and whether its checkpoints on the way are kept."""

    out: Path
    settings: RunSettings
    signature: Signature
    keep_checkpoints: bool = False

    @property
    def folder(self) -> Path:
        """The folder of checkpoints and of the result."""
        return self.out / run_id(self.settings)

    def finished_result(self) -> RunResult | None:
        """The result of a run that these settings have completed, or None.

        A damaged or foreign `result.json`, or a missing checkpoint, means that the run is repeated.
        """
        try:
            document = json.loads((self.folder / _RESULT).read_bytes())
            if document["settings"] != asdict(self.settings):
                return None
            result: RunResult = read_value(document["result"], RunResult, "result")
        except (OSError, ValueError, KeyError, TypeError, InputError):
            return None
        if not result.curve:
            return None
        kept = result.curve if self.keep_checkpoints else ()
        names = (_INITIAL, _FINAL, *(_checkpoint(point.step) for point in kept))
        return result if all(_is_whole(self.folder / name) for name in names) else None

    def save(self, run: TrainedRun) -> None:
        """Write both checkpoints, then the result: a run killed before that is repeated.

        Raises:
            OutputError: a file cannot be written.
        """
        make_folder(self.folder)
        if self.settings.network != OWN:
            write_atomically(self.folder / "network.py", self._network_file().encode())
        self._save_state(_INITIAL, run.initial_state)
        self._save_state(_FINAL, run.final_state)
        document = {"settings": asdict(self.settings), "result": to_document(run.result)}
        write_atomically(self.folder / _RESULT, _json_line(document))

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """A listener that appends each evaluation to `<run-id>.jsonl`, begun anew.

        Raises:
            OutputError: a file cannot be written.
        """
        path = self.out / f"{run_id(self.settings)}.jsonl"
        make_folder(self.folder if self.keep_checkpoints else self.out)
        try:
            # unbuffered: a killed run leaves whole lines, and tail -f sees them at once
            with path.open("wb", buffering=0) as file:

                def listen(evaluation: Evaluation, state: State) -> None:
                    file.write(_json_line(_evaluation_document(evaluation)))
                    if self.keep_checkpoints:
                        self._save_state(_checkpoint(evaluation.point.step), state)

                yield listen
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error

    def _network_file(self) -> str:
        """A factory of the run's network, for --model network.py:build."""
        s = self.settings
        size = f"depth={s.depth}, width={s.width}"
        return _NETWORK_FILE.format(name=s.network, signature=self.signature, size=size)

    def _save_state(self, name: str, state: State) -> None:
        contiguous = {key: tensor.contiguous() for key, tensor in state.items()}
        write_atomically(self.folder / name, safetensors.torch.save(contiguous))


def save_examples(out: Path, task: Task) -> None:
    """Write at most 1,000 of the test examples, as `<task>-inputs.npy` and `<task>-targets.npy`.

    Targets that are no classes have no file.

    Raises:
        OutputError: a file cannot be written.
    """
    inputs, targets = judged_examples(task.test_inputs, task.test_targets)
    for name, array in (("inputs", inputs), ("targets", targets)):
        path = out / f"{_file_name(task.name)}-{name}.npy"
        if name == "targets" and targets.is_floating_point():
            path.unlink(missing_ok=True)  # of a task that had this name before
            continue
        content = io.BytesIO()
        np.save(content, array[:_EXAMPLES].numpy(), allow_pickle=False)
        write_atomically(path, content.getvalue())


def run_id(settings: RunSettings) -> str:
    """A file name that tells the settings apart: those that are not the usual ones are spelled out.

    What it leaves out, such as the data, is in `result.json`, which is compared.
    """
    s = settings
    unusual = {
        f"-{s.init}": s.init != INIT_NAMES[0],
        f"-batch{s.batch}": s.batch != BATCH,
        f"-decay{s.lr_decay!r}": s.lr_decay != 1.0,
    }
    size = f"depth{s.depth}-width{s.width}-steps{s.steps}"
    names = "-".join(map(_file_name, (s.task, s.network, s.optimizer)))
    extra = "".join(text for text, told in unusual.items() if told)
    return f"{names}-lr{s.lr!r}-{size}{extra}-seed{s.seed}"


def _file_name(name: str) -> str:
    """The name as a part of a file name: no separators, and not hidden."""
    return _UNSAFE.sub("_", name).lstrip(".")[:60] or "_"


def _is_whole(path: Path) -> bool:
    """Whether a checkpoint is as long as its header says."""
    try:
        with open_checkpoint(path):
            return True
    except CheckpointError:
        return False


def _checkpoint(step: int) -> str:
    return f"step-{step:07d}.safetensors"


def _evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    return {**to_document(evaluation.point), "weights": to_document(evaluation.weights)}


def _json_line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, allow_nan=False).encode("ascii") + b"\n"
