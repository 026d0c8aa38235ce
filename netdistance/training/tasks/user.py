"""Tasks of a user's own: what a function in their file or module returns, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from netdistance.errors import InputError
from netdistance.networks.arrays import as_array, as_int64
from netdistance.networks.factory import made_by, source_hash
from netdistance.networks.inputs import prepared
from netdistance.training.tasks.losses import (
    cross_entropy,
    relative_squared_error,
    target_variance,
    top1_accuracy,
)
from netdistance.training.tasks.task import Task

MAX_CLASSES = 1_000_000  # of targets, or of tokens: each needs a row of weights
_DATA = ("train_inputs", "train_targets", "test_inputs", "test_targets")
_EXPECTED = f"a netdistance.Task, or a mapping or tuple of {', '.join(_DATA)}[, build]"


@dataclass(frozen=True, slots=True)
class _Data:
    train_inputs: Tensor
    train_targets: Tensor
    test_inputs: Tensor
    test_targets: Tensor


def user_task(spec: str) -> Task:
    """The task that the function named by `file.py:factory` or `package.module:factory` returns.

    It returns a Task; or a mapping or tuple of train_inputs, train_targets, test_inputs,
    test_targets and, if it brings its own network, build. Arrays, tensors or lists will do.
    Inputs are floats, or whole numbers counted from 0, which are tokens; bytes are over 255.
    Whole targets (N,), or (N, T) of T tokens, are classes, learned by cross entropy; floats (N,)
    or (N, outputs) are numbers, learned by squared error over their variance.

    Raises:
        UsageError: the spec lacks a file or a function.
        InputError: the file, the function, or what it returns cannot be used.
    """
    made = made_by(spec, "--task")
    parts = _parts(spec, made)
    data = _checked_data(spec, parts)
    code = source_hash(spec)
    if isinstance(made, Task):
        return replace(_checked_task(spec, made, data), code=code)
    build = parts.get("build")
    if build is not None and not callable(build):
        raise InputError(f"{spec}: build is of type {type(build).__name__}, expected a function")
    return replace(_task_of(spec, data, build), code=code)


def _parts(spec: str, made: Any) -> dict[str, Any]:
    """What a factory returned, by name."""
    match made:
        case Task():
            parts = {name: getattr(made, name) for name in _DATA}
        case Mapping():
            parts = dict(made)
        case tuple() if len(made) in (4, 5):
            parts = dict(zip((*_DATA, "build"), made, strict=False))
        case tuple():
            raise InputError(f"{spec}: returned a tuple of {len(made)}, expected {_EXPECTED}")
        case _:
            kind = type(made).__name__
            raise InputError(f"{spec}: returned an object of type {kind}, expected {_EXPECTED}")
    if missing := [name for name in _DATA if name not in parts]:
        raise InputError(f"{spec}: returned no {', '.join(missing)}, expected {_EXPECTED}")
    if others := [str(name) for name in parts if name not in (*_DATA, "build")]:
        raise InputError(f"{spec}: returned also {', '.join(others)}, expected {_EXPECTED}")
    return parts


def _checked_data(spec: str, parts: Mapping[str, Any]) -> _Data:
    data = _Data(
        _inputs(parts["train_inputs"], f"{spec}: train_inputs"),
        _targets(parts["train_targets"], f"{spec}: train_targets"),
        _inputs(parts["test_inputs"], f"{spec}: test_inputs"),
        _targets(parts["test_targets"], f"{spec}: test_targets"),
    )
    for part in ("train", "test"):
        inputs, targets = (len(getattr(data, f"{part}_{kind}")) for kind in ("inputs", "targets"))
        if inputs != targets:
            what = f"{part}_inputs has {inputs} examples, {part}_targets {targets}"
            raise InputError(f"{spec}: {what}, expected as many of both")
    for kind in ("inputs", "targets"):
        train, test = (getattr(data, f"{part}_{kind}") for part in ("train", "test"))
        if (train.shape[1:], train.dtype) != (test.shape[1:], test.dtype):
            what = f"train_{kind} are {_described(train)}, test_{kind} {_described(test)}"
            raise InputError(f"{spec}: {what}, expected examples of one shape and type")
    return data


def _inputs(value: Any, where: str) -> Tensor:
    tensor, _ = prepared(as_array(value, where), where)
    if tensor.dtype == torch.bool:
        raise InputError(f"{where}: holds truth values, expected floats, or tokens; use .float()")
    if not tensor.is_floating_point():
        if tensor.ndim != 2:
            what = f"{_described(tensor)}, expected tokens (N, T), or floats"
            raise InputError(f"{where}: holds {what}; use .float()")
        _require_counted(tensor, where, "tokens")
    return tensor


def _targets(value: Any, where: str) -> Tensor:
    array = as_array(value, where)
    if array.size == 0:
        raise InputError(f"{where}: is empty")
    if array.ndim not in (1, 2) or array.dtype.kind not in "biuf":
        what = f"holds {array.dtype} of shape {array.shape}"
        raise InputError(f"{where}: {what}, expected classes (N,), or numbers (N,) or (N, outputs)")
    if array.dtype.kind != "f":
        labels = torch.from_numpy(as_int64(array, where))
        _require_counted(labels, where, "labels")
        return labels
    # what float32 cannot hold becomes infinite, and is refused
    with np.errstate(over="ignore"):
        numbers = torch.from_numpy(array.astype(np.float32))
    if not bool(numbers.isfinite().all()):
        raise InputError(f"{where}: holds NaN or infinity as float32, expected finite targets")
    return numbers


def _require_counted(numbers: Tensor, where: str, what: str) -> None:
    lowest, highest = int(numbers.min()), int(numbers.max())
    if lowest < 0 or highest >= MAX_CLASSES:
        found = f"holds {what} from {lowest} to {highest}"
        raise InputError(f"{where}: {found}, expected them counted from 0, below {MAX_CLASSES:,}")


def _task_of(spec: str, data: _Data, build: Callable[..., nn.Module] | None) -> Task:
    """A task of the data alone: what kind the targets are decides the rest."""
    regression = data.train_targets.is_floating_point()
    tokens = not data.train_inputs.is_floating_point()
    named = {
        "name": spec.rpartition(":")[2],
        **{name: getattr(data, name) for name in _DATA},
        "network": "transformer" if tokens else "mlp",
        "build": build,
    }
    if regression:
        loss = partial(relative_squared_error, variance=_variance(spec, data))
        outputs = 1 if data.train_targets.ndim == 1 else data.train_targets.shape[1]
        return Task(**named, outputs=outputs, loss=loss, accuracy=None)
    if data.train_targets.ndim == 2 and data.train_targets.shape != data.train_inputs.shape:
        what = f"classes of shape {tuple(data.train_targets.shape)}"
        raise InputError(f"{spec}: train_targets holds {what}, expected (N,), one per example")
    classes = 1 + int(max(data.train_targets.max(), data.test_targets.max()))
    if classes < 2:
        raise InputError(f"{spec}: every label is 0, expected two classes or more")
    return Task(**named, outputs=classes, loss=cross_entropy, accuracy=top1_accuracy)


def _variance(spec: str, data: _Data) -> float:
    variance = target_variance(data.train_targets)
    if variance == 0.0:
        raise InputError(f"{spec}: train_targets are all the same number, expected some that vary")
    return variance


def _checked_task(spec: str, task: Task, data: _Data) -> Task:
    """The user's own task, its data as networks take them."""
    whole = isinstance(task.outputs, int) and task.outputs >= 1
    demands = {
        "name, a printable text": isinstance(task.name, str) and task.name.isprintable(),
        "name, which is not empty": bool(task.name),
        "outputs, a whole number of 1 or more": whole,
        "loss, a function of outputs and targets": callable(task.loss),
        "accuracy, a function or None": task.accuracy is None or callable(task.accuracy),
        "network, a name": isinstance(task.network, str),
        "build, a function or None": task.build is None or callable(task.build),
        "note, a text": isinstance(task.note, str),
    }
    if broken := [demand for demand, met in demands.items() if not met]:
        raise InputError(f"{spec}: returned a Task that lacks {broken[0]}")
    return replace(task, **{name: getattr(data, name) for name in _DATA})


def _described(tensor: Tensor) -> str:
    kind = str(tensor.dtype).removeprefix("torch.")
    return f"{kind} of shape {tuple(tensor.shape)}"
