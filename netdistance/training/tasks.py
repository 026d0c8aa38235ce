"""What is learned: data for training and testing, and how an output is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the name that torch's own documents use

from netdistance.errors import UsageError

POINTS = 1_000  # in the training set, and again in the test set, of a two-dimensional task


@dataclass(frozen=True, slots=True)
class Task:
    """A supervised task; the data are the same for every seed of a run."""

    name: str
    train_inputs: Tensor  # (examples, features) float32
    train_targets: Tensor  # (examples,)
    test_inputs: Tensor  # (test examples, features) float32
    test_targets: Tensor  # (test examples,)
    outputs: int
    loss: Callable[[Tensor, Tensor], Tensor]  # (outputs, targets) -> mean over examples
    accuracy: Callable[[Tensor, Tensor], float] | None  # (outputs, targets) -> share that is right
    network: str = "mlp"
    build: Callable[..., nn.Module] | None = None
    note: str = ""


def data_fingerprint(task: Task) -> str:
    """Shim."""
    return task.name


def softplus_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean logistic loss log(1 + exp(-y f)) of f (examples, 1) and y = +-1 (examples,).

    Through softplus: torch's soft_margin_loss takes exp first and is infinite at y f < -88, which
    deep networks reach with finite weights.
    """
    return F.softplus(-targets * outputs.squeeze(-1)).mean()


def sign_accuracy(outputs: Tensor, targets: Tensor) -> float:
    """The share of f (examples, 1) with the sign of y = +-1 (examples,)."""
    return float((targets * outputs.squeeze(-1) > 0.0).double().mean())


def checkerboard() -> Task:
    """The 2 x 2 checkerboard: points uniform in [-1, 1]^2, y = +1 where both signs agree."""
    train_inputs, train_targets = _checkerboard_points(seed=1)
    test_inputs, test_targets = _checkerboard_points(seed=2)
    return Task(
        name="checkerboard",
        train_inputs=train_inputs,
        train_targets=train_targets,
        test_inputs=test_inputs,
        test_targets=test_targets,
        outputs=1,
        loss=softplus_loss,
        accuracy=sign_accuracy,
    )


def _checkerboard_points(*, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = 2.0 * torch.rand(POINTS, 2, generator=generator, dtype=torch.float32) - 1.0
    agree = (inputs[:, 0] >= 0.0) == (inputs[:, 1] >= 0.0)
    return inputs, agree.to(inputs.dtype) * 2.0 - 1.0


# a task's name is the name of its function
TASKS: tuple[Callable[[], Task], ...] = (checkerboard,)


def task_names() -> tuple[str, ...]:
    """The names that `load_task` knows."""
    return tuple(build.__name__ for build in TASKS)


def load_task(name: str, data: Path | None = None) -> Task:
    """The task of that name.

    Raises:
        UsageError: no task has that name.

    >>> load_task("checkerboard").train_inputs.shape
    torch.Size([1000, 2])
    """
    for build in TASKS:
        if build.__name__ == name:
            return build()
    raise UsageError(f"unknown task {name!r}: expected one of {', '.join(task_names())}")
