"""What is learned: data for training and testing, and how an output is judged."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

_FINGERPRINT_DIGITS = 16  # 64 bits: two data sets of one name never share them by chance


@dataclass(frozen=True, slots=True)
class Task:
    """A supervised task; the data are the same for every seed of a run.

    Inputs are float32, or int64 where they are tokens, counted from 0. `accuracy` is None for a
    regression. `network` is the network that is trained where none is named; `build(depth=,
    width=, seed=)`, where given, makes the task's own network instead. `note` says what was done
    to the data, where a reader should know.
    """

    name: str
    train_inputs: Tensor  # (N, ...) float32, or (N, T) int64
    train_targets: Tensor  # (N,) or (N, T) of classes, (N,) or (N, outputs) of numbers
    test_inputs: Tensor  # (M, ...)
    test_targets: Tensor  # (M, ...)
    outputs: int
    loss: Callable[[Tensor, Tensor], Tensor]  # (outputs, targets) -> mean over examples
    accuracy: Callable[[Tensor, Tensor], float] | None  # (outputs, targets) -> share that is right
    network: str = "mlp"
    build: Callable[..., nn.Module] | None = None
    note: str = ""
    code: str = ""  # a hash of the file that defines it, of a user's own task


def data_fingerprint(task: Task) -> str:
    """16 hex digits that differ wherever a task's name, code, shapes, dtypes or data do.

    The start of a sha256 of the name, the code's hash and the four tensors, bit for bit: 0.0 and
    -0.0 differ. Costs a pass over the data.
    """
    tensors = (task.train_inputs, task.train_targets, task.test_inputs, task.test_targets)
    shapes = ((tuple(tensor.shape), str(tensor.dtype)) for tensor in tensors)
    code = (task.code,) if task.code else ()
    facts = (task.name, *code, *shapes)
    digest = hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape"))
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()[:_FINGERPRINT_DIGITS]
