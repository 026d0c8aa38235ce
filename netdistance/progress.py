"""How long work tells a listener where it is; the library itself never prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Progress(Protocol):
    """A listener: `with progress.task("comparing", total) as advance: advance(1)`."""

    def task(self, description: str, total: int) -> AbstractContextManager[Advance]:
        """Announce `total` units of work; the yielded callable reports units done."""


class _Silent:
    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        yield lambda done: None


SILENT: Progress = _Silent()
