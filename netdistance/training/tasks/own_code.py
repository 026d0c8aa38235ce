"""What a user's own network, loss or accuracy raises, as one error that names the task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from netdistance.errors import InputError, first_line
from netdistance.training.tasks.task import Task


@contextmanager
def own_code(task: Task, what: str) -> Iterator[None]:
    """The user's own code may raise anything.

    Raises:
        InputError: it did.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        why = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"task {task.name}: {what}: {why}") from error
