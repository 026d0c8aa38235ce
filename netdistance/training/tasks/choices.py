"""The tasks that a comparison can name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from netdistance.errors import UsageError
from netdistance.training.tasks import plane
from netdistance.training.tasks.digits import digits
from netdistance.training.tasks.images import idx_task
from netdistance.training.tasks.mackey_glass import mackey_glass
from netdistance.training.tasks.task import Task
from netdistance.training.tasks.text import text_task
from netdistance.training.tasks.user import user_task


@dataclass(frozen=True, slots=True)
class TaskChoice:
    """A name, what help says of it, and how to load it from `--data`, None where it needs none."""

    name: str
    needs_data: bool
    note: str
    load: Callable[[Path | None], Task]


def _own(name: str, note: str, make: Callable[[], Task]) -> TaskChoice:
    return TaskChoice(name, False, note, lambda _: make())


def _of_data(name: str, note: str, read: Callable[[Path], Task]) -> TaskChoice:
    def load(data: Path | None) -> Task:
        if data is None:
            raise UsageError(f"task {name} needs --data: {note}")
        return read(data)

    return TaskChoice(name, True, note, load)


TASKS: tuple[TaskChoice, ...] = (
    _own("checkerboard", "points of a 2 x 2 board, two classes", plane.checkerboard),
    _own("circle", "a disc of points in a ring of others", plane.circle),
    _own("xor", "the checkerboard with a gap between its fields", plane.xor),
    _own("gauss", "two clouds of points", plane.gauss),
    _own("spiral", "two arms of points, wound into each other", plane.spiral),
    _own("digits", "scikit-learn's 8 x 8 digits (the digits extra)", digits),
    _of_data("mnist", "the folder of MNIST's four IDX files", partial(idx_task, "mnist")),
    _of_data("fashion", "the folder of Fashion-MNIST's IDX files", partial(idx_task, "fashion")),
    _of_data("text", "a text file, whose next characters are learned", text_task),
    _own("mackey-glass", "a chaotic series, 6 steps ahead (regression)", mackey_glass),
    _own("mackey-glass-85", "the same, 85 steps ahead", partial(mackey_glass, 85)),
)


def task_names() -> tuple[str, ...]:
    """The names that `load_task` knows."""
    return tuple(choice.name for choice in TASKS)


def load_task(spec: str, data: Path | None = None) -> Task:
    """The task of that name, or of a user's function, `file.py:factory` or `module:factory`.

    Args:
        spec: a name of TASKS, or where the function is.
        data: the file or folder that the task reads, for those that need one.

    Raises:
        UsageError: no task has that name, or `data` is missing or not used.
        InputError: the data or the user's file cannot be used.

    >>> load_task("checkerboard").train_inputs.shape
    torch.Size([1000, 2])
    """
    for choice in TASKS:
        if choice.name == spec:
            if data is not None and not choice.needs_data:
                raise UsageError(f"task {spec} has its own data: leave --data out")
            return choice.load(data)
    if ":" not in spec and not spec.endswith(".py"):
        expected = f"expected one of {', '.join(task_names())}, or file.py:factory"
        raise UsageError(f"unknown task {spec!r}: {expected}")
    if data is not None:
        raise UsageError(f"task {spec} has its own data: leave --data out")
    return user_task(spec)
