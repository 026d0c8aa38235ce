"""Valid files of every format, altered at random: compared or refused as the contract says.

`NETDISTANCE_FUZZ_EXAMPLES` sets how many new examples each format gets in the slow test.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.invoke import Outcome, error_problem, invoke, leftovers, run_process
from tests.formats.every_format import WRITERS, Arrays
from tests.formats.mutations import mutate_file
from tests.formats.test_hostile import strict_json

ARRAYS: Arrays = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.bias": np.array([0.5, -1.0], np.float32),
    "b.scale": np.array(2.0, np.float32),
}
EACH = pytest.mark.parametrize("write", [w for _, w in WRITERS], ids=[n for n, _ in WRITERS])
FIXED = settings(
    max_examples=60,
    deadline=None,  # a watchdog stands in: a loaded machine is no defect
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
ASKED = os.environ.get("NETDISTANCE_FUZZ_EXAMPLES")
LARGE = settings(FIXED, max_examples=int(ASKED or 1000), derandomize=ASKED is None)
BUDGETS = pytest.mark.parametrize(
    "budget", [FIXED, pytest.param(LARGE, marks=pytest.mark.slow)], ids=["small", "large"]
)
SECONDS = 30.0


class HangError(BaseException):
    """A run took longer than any altered file of a few kilobytes may."""


@contextmanager
def watchdog(seconds: float = SECONDS) -> Iterator[None]:
    """Raise HangError where the body takes longer."""

    def bark(number: int, frame: FrameType | None) -> NoReturn:
        raise HangError

    before = signal.signal(signal.SIGALRM, bark)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def problem_of(outcome: Outcome, folder: Path) -> str:
    """How a run that was to replace report.json broke the contract, empty where it kept it."""
    report = (folder / "report.json").read_text()
    if extra := leftovers(folder, "report.json", "good", "odd"):
        return f"left behind {extra}"
    if outcome.code not in (0, 3, 4):
        return f"exit code {outcome.code}: {outcome.err}"
    if outcome.code != 0:
        return error_problem(outcome, outcome.code) or ("" if report == "old" else "a report")
    strict_json(report)
    return outcome.err


def compared(
    runner: Callable[..., Outcome], folder: Path, odd: Path, good: Path, *, swap: bool
) -> str:
    """What is wrong with a comparison of an altered file and a good one."""
    (folder / "report.json").write_text("old")
    files = (good, odd) if swap else (odd, good)
    with watchdog():
        outcome = runner("compare", *files, "--json", folder / "report.json", "--threads", "1")
    return problem_of(outcome, folder)


def fresh(write: Callable[[Arrays, Path], Path], folder: Path) -> tuple[Path, Path]:
    """A good file and one to alter, each in a folder of its own."""
    for side in ("good", "odd"):
        shutil.rmtree(folder / side, ignore_errors=True)
        (folder / side).mkdir()
    return write(ARRAYS, folder / "good"), write(ARRAYS, folder / "odd")


@BUDGETS
@EACH
def test_an_altered_file_is_compared_or_refused(
    tmp_path: Path, write: Callable[[Arrays, Path], Path], budget: settings
) -> None:
    good, odd = fresh(write, tmp_path)
    originals = {path: path.read_bytes() for path in sorted(odd.parent.iterdir())}

    @budget
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        for path, content in originals.items():
            path.write_bytes(content)
        mutate_file(data.draw, data.draw(st.sampled_from(list(originals))))
        assert compared(invoke, tmp_path, odd, good, swap=data.draw(st.booleans())) == ""

    check()


@EACH
def test_an_altered_file_ends_a_process_in_order(
    tmp_path: Path, write: Callable[[Arrays, Path], Path]
) -> None:
    good, odd = fresh(write, tmp_path)
    odd.write_bytes(odd.read_bytes()[:-20])
    assert compared(run_process, tmp_path, odd, good, swap=False) == ""


def test_planted_faults_are_found(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text("old")
    refused = Outcome(3, "", "netdistance: error: odd: broken\n")
    assert problem_of(refused, tmp_path) == ""
    for wrong in (
        Outcome(70, "", "netdistance: error: internal error: KeyError\n"),
        Outcome(-11, "", ""),
        Outcome(3, "", "Traceback (most recent call last):\n"),
        Outcome(3, "half a report", refused.err),
        Outcome(4, "", refused.err * 2),
    ):
        assert problem_of(wrong, tmp_path) != ""
    report.write_text("{}")
    assert problem_of(refused, tmp_path) != ""
    assert problem_of(Outcome(0, "", ""), tmp_path) == ""
    assert problem_of(Outcome(0, "", "Warning\n"), tmp_path) != ""
    (tmp_path / ".netdistance-report.json-1.tmp").touch()
    assert problem_of(refused, tmp_path) != ""


def test_planted_hang_is_found() -> None:
    with pytest.raises(HangError), watchdog(0.05):
        signal.pause()
