"""Work on this machine: workers over independent items, results in the order of the items."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from netdistance.execution.processes import map_forked, may_fork
from netdistance.progress import Advance

Item = TypeVar("Item")
Result = TypeVar("Result")

# reading two files into float64 saturates memory with about 4 cores; each thread holds 5 MiB
MAX_THREADS = 4


def default_threads() -> int:
    """As many threads as this process may use cores, up to 4."""
    return min(MAX_THREADS, len(os.sched_getaffinity(0)))


def map_ordered(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    threads: int,
    advance: Advance,
    name_of: Callable[[Item], str] = str,
) -> list[Result]:
    """`[function(item) for item in items]`, in up to `threads` processes, or threads of this one.

    The first error is raised after the work that has not begun is cancelled; `name_of` an item is
    for the message where a process was lost.
    """
    if threads <= 1 or len(items) <= 1:
        return [_advanced(function(item), advance) for item in items]
    if may_fork():
        return map_forked(function, items, workers=threads, advance=advance, name_of=name_of)
    with ThreadPoolExecutor(threads, thread_name_prefix="netdistance") as pool:
        try:
            return [_advanced(result, advance) for result in pool.map(function, items)]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _advanced(result: Result, advance: Advance) -> Result:
    advance(1)
    return result
