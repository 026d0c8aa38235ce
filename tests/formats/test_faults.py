"""What goes wrong around a run: killed while it writes, a full disk, a bare environment."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netdistance import demo
from tests.cli.invoke import (
    Outcome,
    command,
    environment,
    error_problem,
    invoke,
    leftovers,
    run_process,
)
from tests.formats.hostile_torch import CLAIMS, STATE, torch_bytes
from tests.formats.written import entry, framed, safetensors

# writes two reports in turn, as a nightly job does
LOOP = """
import json
from pathlib import Path
from netdistance.report.files import write_atomically
contents = [json.dumps([number] * 200_000).encode() for number in (1, 2)]
write_atomically(Path("report.json"), contents[0])
print("ready", flush=True)
while True:
    for content in contents:
        write_atomically(Path("report.json"), content)
"""


def test_a_killed_run_leaves_a_whole_report_and_one_temporary_file_at_most(tmp_path: Path) -> None:
    report, extra = tmp_path / "report.json", []
    for wait in np.random.default_rng(0).uniform(0, 0.1, 12):
        with subprocess.Popen(
            [sys.executable, "-c", LOOP], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            time.sleep(wait)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        left = leftovers(tmp_path, "report.json")
        assert len(left) <= 1 and all(name.endswith(".tmp") for name in left)
        extra += left
        for name in left:
            (tmp_path / name).unlink()
        assert json.loads(report.read_text()) in ([1] * 200_000, [2] * 200_000)
    assert extra, "no kill came while a report was being written"


def run_after(prelude: str, *arguments: str | Path) -> Outcome:
    """Run netdistance where a shell has said something first, such as a limit."""
    done = subprocess.run(
        ["sh", "-c", f'{prelude}; exec "$0" "$@"', *command(*arguments)],
        env=environment(OMP_NUM_THREADS="1"),
        capture_output=True,
        timeout=120,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize("name", ["report.json", "report.html"])
def test_a_report_beyond_the_file_size_limit_is_5(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("old")
    option = f"--{name.partition('.')[2]}"
    files = (demo.TRAINED, demo.ROUNDED, option, tmp_path / name)
    outcome = run_after("ulimit -f 2", "compare", *files)
    assert error_problem(outcome, 5, name, "cannot be written", "File too large") == ""
    assert (tmp_path / name).read_text() == "old"
    assert leftovers(tmp_path, name) == []


def test_too_few_descriptors_are_3(tmp_path: Path) -> None:
    places = {f"w{index}": f"{index}.safetensors" for index in range(40)}
    for name, file in places.items():
        (tmp_path / file).write_bytes(safetensors({name: np.ones(1)}))
    (tmp_path / "m.index.json").write_text(json.dumps({"weight_map": places}))
    outcome = run_after("ulimit -n 20", "compare", tmp_path, tmp_path)
    assert error_problem(outcome, 3, ".safetensors", "too many open files") == ""


# opens every file named after the first, and says by how many MiB that raised the peak of memory
OPENING = """
import resource, sys
from netdistance.checkpoints import open_checkpoint
from netdistance.errors import CheckpointError
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
open_checkpoint(sys.argv[1]).close()
before, refused = peak(), 0
for path in sys.argv[2:]:
    try:
        open_checkpoint(path)
    except CheckpointError:
        refused += 1
print(refused, peak() - before)
"""


def test_what_a_file_claims_is_never_taken_from_memory(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(torch_bytes(STATE))
    paths = [tmp_path / str(number) for number in range(len(CLAIMS))]
    for case, path in zip(CLAIMS, paths, strict=True):
        case.write(path)
    words = [sys.executable, "-c", OPENING, tmp_path / "good", *paths]
    done = subprocess.run(words, env=environment(), capture_output=True, check=True, timeout=120)
    refused, megabytes = map(int, done.stdout.split())
    assert refused == len(CLAIMS)
    assert megabytes < 64, "each of them claims 4 GiB or more, but for one of 20 bytes"


@pytest.mark.slow
def test_very_many_tensors_need_little_memory(tmp_path: Path) -> None:
    count = 300_000
    header = {f"l.{i}.w": entry("F32", [1], 4 * i, 4 * i + 4) for i in range(count)}
    (tmp_path / "many").write_bytes(framed(header, b"\0" * 4 * count))
    (tmp_path / "one").write_bytes(safetensors({"w": np.ones(1)}))
    words = [sys.executable, "-c", OPENING, tmp_path / "one", tmp_path / "many"]
    done = subprocess.run(words, env=environment(), capture_output=True, check=True, timeout=120)
    refused, megabytes = map(int, done.stdout.split())
    assert refused == 0
    assert megabytes < 600, "the header is 24 MB; its parsed form takes 12 times that"


def test_a_tensor_that_does_not_fit_into_memory_is_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def empty(count: int, **options: Any) -> np.ndarray:
        if count == 6400:
            raise MemoryError
        return np.zeros(count, **options)

    # in Fortran order a tensor is held whole
    np.savez(tmp_path / "x.npz", w=np.ones((40, 40), np.float32, order="F"))
    monkeypatch.setattr("netdistance.checkpoints.npz.np.empty", empty)
    outcome = invoke("compare", tmp_path / "x.npz", tmp_path / "x.npz")
    assert error_problem(outcome, 3, "tensor 'w'", "6400 bytes do not fit into memory") == ""


@pytest.mark.parametrize(
    "changes",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "HOME": None}, {"LC_ALL": "POSIX", "HOME": "/nowhere"}],
    ids=str,
)
def test_a_bare_environment_is_enough(tmp_path: Path, changes: dict[str, str | None]) -> None:
    bare = {**environment(), **changes}
    env = {name: value for name, value in bare.items() if value is not None}
    outputs = ("--json", tmp_path / "é.json", "--plot", tmp_path / "r.svg")
    outcome = run_process("compare", demo.TRAINED, demo.ROUNDED, *outputs, env=env)
    assert (outcome.code, outcome.err) == (0, "")
    assert leftovers(tmp_path, "é.json", "r.svg") == []


def test_a_closed_standard_input_is_no_error() -> None:
    outcome = run_after("exec <&-", "compare", demo.TRAINED, demo.ROUNDED)
    assert (outcome.code, outcome.err) == (0, "")
    assert "deep relative trust" in outcome.out
