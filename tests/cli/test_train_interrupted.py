"""`netdistance train` killed, interrupted, and without room on the disk."""

from __future__ import annotations

import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.contract import strict
from tests.cli.invoke import PREFIX, Outcome, command, environment, error_problem, invoke, leftovers

SMALL = ("--width", "8", "--depth", "2", "--steps", "40", "--optimizer", "fromage,adamw")


@pytest.mark.slow
def test_a_killed_comparison_goes_on_where_it_was(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    options = ("--width", "8", "--lr", "0.01,0.02,0.05", "--steps", "200", "--optimizer", "sgd")
    words = command("train", "--out", out, *options)
    with subprocess.Popen(words, env=environment(), stdout=-3, stderr=-3) as process:
        deadline = time.monotonic() + 120.0
        while not list(out.glob("*/result.json")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    finished = {path: path.stat().st_mtime_ns for path in out.glob("*/result.json")}
    assert 1 <= len(finished) < 3, "killed too late to show anything"
    outcome = invoke("train", "--out", out, *options, "--json", "-")
    assert outcome.code == 0
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    alone = invoke("train", "--out", tmp_path / "alone", *options, "--json", "-")
    assert strict(alone.out)["runs"] == strict(outcome.out)["runs"]
    names = {path.name for path in (tmp_path / "alone").iterdir()}
    assert leftovers(out, *names) == []


def test_ctrl_c_is_one_line_and_leaves_whole_files(tmp_path: Path) -> None:
    out = tmp_path / "runs"
    words = command("train", "--out", out, "--steps", "100000", "--optimizer", "sgd")
    with subprocess.Popen(words, env=environment(), stdout=-1, stderr=-1) as process:
        while not list(out.glob("*.jsonl")):
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        printed, said = (stream.decode() for stream in process.communicate(timeout=60))
    assert error_problem(Outcome(process.returncode, printed, said), 130, "interrupted") == ""
    (lines,) = out.glob("*.jsonl")
    assert all(strict(line)["step"] >= 0 for line in lines.read_text().splitlines())
    assert leftovers(out, lines.name, "checkerboard-inputs.npy") == []


@pytest.mark.slow
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    def no_room() -> None:
        # a file beyond this size fails as on a full disk; Python ignores the signal
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    words = command("train", "--out", tmp_path / "runs", *SMALL)
    done = subprocess.run(
        words, env=environment(), capture_output=True, preexec_fn=no_room, check=False, timeout=120
    )
    assert done.returncode == 5
    said = done.stderr.decode()
    assert said.startswith(PREFIX) and "cannot be written" in said and said.count("\n") == 1
    assert not list((tmp_path / "runs").rglob("*.tmp"))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = invoke("train", "--out", tmp_path / "file" / "runs", *SMALL)
    assert error_problem(outcome, 5, "cannot be made") == ""
