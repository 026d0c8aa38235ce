"""Whole processes measured: wall time, and the peak of memory that is their own."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# how often RssAnon is looked at; a peak shorter than this is missed
_POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Usage:
    """What one run of a process took."""

    seconds: float
    peak_anonymous_mib: float


def run(command: Sequence[str]) -> Usage:
    """Run a command to its end. RssAnon leaves out pages of files, which memory maps share.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
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


def _anonymous_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0  # it has just ended
    return next((int(line.split()[1]) for line in status.splitlines() if "RssAnon" in line), 0)
