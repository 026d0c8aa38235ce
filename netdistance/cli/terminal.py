"""The progress bar of a terminal, shown once work has taken a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from netdistance.progress import SILENT, Advance, Progress

# the contract: a bar for work that runs longer than this
_PATIENCE_SECONDS = 1.0


class _Bar:
    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Advance]:
        # imported here: rich's progress costs 40 ms, and a short run shows no bar
        from rich.console import Console
        from rich.progress import Progress as RichProgress

        bar = RichProgress(console=Console(stderr=True), transient=True)
        task = bar.add_task(description, total=total)
        begun, started = time.monotonic(), False

        def advance(done: int) -> None:
            nonlocal started
            bar.advance(task, done)
            if not started and time.monotonic() - begun > _PATIENCE_SECONDS:
                bar.start()
                started = True

        try:
            yield advance
        finally:
            if started:
                bar.stop()


def terminal_progress(*, quiet: bool) -> Progress:
    """A bar on stderr where that is a terminal, else silence."""
    unseen = sys.stderr is None or not sys.stderr.isatty()  # None: closed by the shell
    return SILENT if quiet or unseen else _Bar()
