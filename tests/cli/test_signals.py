"""Ctrl-C and termination: their exit codes, one line, and no half-written file."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from netdistance import demo
from tests.cli.invoke import Outcome, environment, error_problem, leftovers

# runs the command line with one function replaced by: say that it was reached, then wait
DRIVER = """
import importlib, os, signal, sys, time
module, name, *arguments = sys.argv[1:]
def wait(*arguments):
    os.write(1, b"reached")
    time.sleep(60)
setattr(importlib.import_module(module), name, wait)
signal.signal(signal.SIGINT, signal.default_int_handler)
from netdistance.cli import main
main(arguments)
"""
STAGES = {
    "opening": ("netdistance.checkpoints.safetensors_file", "read_exactly"),
    "comparing": ("netdistance.distances.stream", "_span_sums"),
    "writing": ("os", "fsync"),
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_ends_the_run_cleanly(
    tmp_path: Path, stage: str, number: signal.Signals, code: int, word: str
) -> None:
    (tmp_path / "report.json").write_text("old")
    files = [str(demo.TRAINED), str(demo.ROUNDED), "--json", str(tmp_path / "report.json")]
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, *STAGES[stage], "compare", *files],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(7) == b"reached"
        process.send_signal(number)
        outcome = Outcome(
            process.wait(timeout=30), process.stdout.read().decode(), process.stderr.read().decode()
        )
    assert error_problem(outcome, code, word) == ""
    assert (tmp_path / "report.json").read_text() == "old"
    assert leftovers(tmp_path, "report.json") == []
