"""Whole processes measured: wall time, and the peak of memory that is their own."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# how often memory is looked at; a peak shorter than this is missed
_POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run of a process took."""

    seconds: float
    peak_anonymous_mib: float


def run(command: Sequence[str]) -> Usage:
    """Run a command to its end. Pages of files, which memory maps share, are left out.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _anonymous_kib(process.pid))
        time.sleep(_POLL_SECONDS)
    seconds = time.perf_counter() - begun
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Usage(seconds, peak / 1024)


def interleaved(commands: Mapping[str, Sequence[str]], repeats: int) -> dict[str, Usage]:
    """The median time and largest peak of each command, run in turns so that noise hits all."""
    for command in commands.values():
        run(command)  # warm the page cache
    taken: dict[str, list[Usage]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            taken[name].append(run(command))
    return {
        name: Usage(
            statistics.median(usage.seconds for usage in usages),
            max(usage.peak_anonymous_mib for usage in usages),
        )
        for name, usages in taken.items()
    }


def _anonymous_kib(pid: int) -> float:
    """Its share of anonymous memory and its workers': a page that n processes share counts 1/n."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0  # it has just ended
    lines = rollup.splitlines()
    own = next((float(line.split()[1]) for line in lines if line.startswith("Pss_Anon")), 0)
    return own + sum(_anonymous_kib(int(worker)) for worker in workers)
