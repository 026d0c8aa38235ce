"""Work in forked processes: same results, errors brought back, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from netdistance.execution.processes import may_fork
from tests.cli.invoke import command, environment

# a process of its own: this one runs other threads
HEAD = """
import os, signal, sys, time
from netdistance.errors import CheckpointError
from netdistance.execution.local import map_ordered
from netdistance.execution.processes import map_forked, may_fork
"""
# a shell ignores Ctrl-C for what it runs in the background, as tests may be
COMMAND = """
import signal, sys
from netdistance.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main(sys.argv[1:])
"""


def output_of(script: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", HEAD + script], check=True, capture_output=True, text=True
    ).stdout


def test_results_come_in_the_order_of_the_items_from_more_than_one_process() -> None:
    script = """
def work(item):
    time.sleep(0.02 if item % 2 else 0.0)
    return item * item, os.getpid()
done = []
found = map_ordered(work, range(20), threads=3, advance=done.append)
assert [square for square, _ in found] == [n * n for n in range(20)]
processes = {process for _, process in found}
print(len(processes), os.getpid() in processes, sum(done))
"""
    assert output_of(script) == "3 False 20\n"


def test_an_error_of_a_worker_comes_back_whole() -> None:
    script = """
def work(item):
    if item == 3:
        raise CheckpointError("a.npz", "changed while being read", tensor="w")
try:
    map_forked(work, range(9), workers=2, advance=lambda done: None)
except CheckpointError as error:
    print(error)
"""
    assert output_of(script) == "a.npz: tensor 'w': changed while being read\n"


def test_a_killed_worker_is_an_error() -> None:
    script = """
def work(item):
    os.kill(os.getpid(), signal.SIGKILL)
try:
    map_forked(work, [7], workers=2, advance=print, name_of="tensor {}".format)
except MemoryError as error:
    print(error)
"""
    assert output_of(script) == "a worker process was killed at tensor 7\n"


def test_a_worker_that_is_gone_before_its_first_item_is_an_error() -> None:
    script = """
from netdistance.execution import processes
processes._serve = lambda *arguments: os._exit(9)
try:
    map_forked(abs, range(9), workers=2, advance=lambda done: None)
except MemoryError as error:
    print("killed" in str(error))
"""
    assert output_of(script) == "True\n"


@pytest.mark.parametrize("started", [0, 1])
def test_where_no_more_processes_start_the_work_is_done(started: int) -> None:
    script = f"""
fork, left = os.fork, iter(range({started}))
def limited():
    if next(left, None) is None:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    return fork()
os.fork = limited
print(map_forked(abs, [-1, -2, -3], workers=2, advance=lambda done: None))
"""
    assert output_of(script) == "[1, 2, 3]\n"


@pytest.mark.parametrize(
    "text", ["def __init__(self, a, b): super().__init__(a)", "__reduce__ = 7"]
)
def test_an_error_that_cannot_be_pickled_says_what_it_was(text: str) -> None:
    script = f"""
class Odd(Exception):
    {text}
def work(item):
    raise Odd(*["one", "two"])
try:
    map_forked(work, range(3), workers=2, advance=lambda done: None)
except RuntimeError as error:
    print(error)
"""
    assert output_of(script).startswith("Odd: ")


def test_a_system_error_of_the_work_itself_is_not_a_lost_worker() -> None:
    script = """
def work(item):
    raise FileNotFoundError(2, "no such file")
try:
    map_forked(work, range(3), workers=2, advance=lambda done: None)
except FileNotFoundError as error:
    print(error)
"""
    assert output_of(script) == "[Errno 2] no such file\n"


def test_a_daemonic_process_compares_without_workers(tmp_path: Path) -> None:
    weights(tmp_path, 1.0)
    script = f"""
import multiprocessing, netdistance
def compare(side):
    return netdistance.compare("{tmp_path}/a", "{tmp_path}/b").pairing.compared
with multiprocessing.get_context("fork").Pool(1) as pool:
    print(pool.map(compare, [0]))
"""
    assert output_of(script) == "[3]\n"


def weights(folder: Path, change: float, save: Any = save_file) -> None:
    """Two files of three weights that are large enough for workers."""
    draw = np.random.default_rng(0).standard_normal
    state = {f"{n}.weight": draw((1500, 1000), dtype=np.float32) for n in range(3)}
    save(state, folder / "a")
    save({name: w + np.float32(change) for name, w in state.items()}, folder / "b")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_workers_read_an_archive_side_by_side(tmp_path: Path, save: Any) -> None:
    def written(state: dict[str, np.ndarray], path: Path) -> None:
        with path.open("wb") as file:
            save(file, **state)

    weights(tmp_path, 0.5, written)
    reports = []
    for threads in ("1", "2", "4"):
        where = tmp_path / f"{threads}.json"
        words = ["compare", tmp_path / "a", tmp_path / "b", "--threads", threads, "--json", where]
        subprocess.run(command(*words), check=True, capture_output=True)
        reports.append({**json.loads(where.read_text()), "provenance": None})
    assert reports[1] == reports[0] == reports[2]


def test_a_process_with_other_threads_or_torch_is_not_forked() -> None:
    waiting = threading.Event()
    thread = threading.Thread(target=waiting.wait)
    thread.start()
    assert not may_fork()
    waiting.set()
    thread.join()
    assert output_of("print(may_fork(), map_forked.__name__)") == "True map_forked\n"
    assert output_of("import torch; print(may_fork())") == "False\n"


def test_workers_change_no_bit_of_the_report(tmp_path: Path) -> None:
    draw = np.random.default_rng(0).standard_normal
    state = {f"{n}.weight": draw((n % 7 + 1, 5), dtype=np.float32) for n in range(3000)}
    state["large"] = draw((2100, 1000), dtype=np.float32)
    moved = {name: value + np.float32(0.01) * value[::-1] for name, value in state.items()}
    state["bias"] = moved["bias"] = state["large"][0]
    for side, tensors in (("a", state), ("b", moved)):
        save_file(tensors, tmp_path / side)
    reports = []
    for threads in ("1", "2", "3"):
        where = tmp_path / f"{threads}.json"
        words = ["compare", tmp_path / "a", tmp_path / "b", "--threads", threads, "--json", where]
        subprocess.run(command(*words, "--all-metrics"), check=True, capture_output=True)
        reports.append({**json.loads(where.read_text()), "provenance": None})
    assert reports[1] == reports[0] == reports[2]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_workers_end_with_the_command(tmp_path: Path, number: signal.Signals, code: int) -> None:
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    weight = np.random.default_rng(0).standard_normal(1 << 24, dtype=np.float32)
    save_file({"w": weight}, files[0])
    save_file({"w": weight + np.float32(1.0)}, files[1])
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, "compare", *map(str, files), "--threads", "2"],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 30.0
        while len(workers := children_of(process.pid)) < 2:
            assert time.monotonic() < deadline and process.poll() is None, "no workers were seen"
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        assert process.wait(timeout=30) == code
        assert process.stderr is not None
        lines = process.stderr.read().decode().splitlines()
        assert len(lines) == (code > 0), lines
        while any(is_running(worker) for worker in workers):
            assert time.monotonic() < deadline, "a worker outlived the command"


def children_of(pid: int) -> list[int]:
    """The processes that were forked from a process."""
    try:
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
