"""Every hostile or odd file ends as its row says: an exit code and one line, never a traceback."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from netdistance.studies import pair_weights as study
from tests.cli.invoke import Outcome, environment, error_problem, invoke, run_process
from tests.formats.hostile import CASES, GOOD, GOOD_BYTES, Case
from tests.formats.hostile_gguf import GGUF_CASES
from tests.formats.hostile_npz import NPZ_CASES
from tests.formats.hostile_shards import SHARD_CASES
from tests.formats.hostile_torch import MARKER, TORCH_CASES, Malicious
from tests.formats.written import safetensors

ALL_CASES = (*CASES, *TORCH_CASES, *NPZ_CASES, *SHARD_CASES, *GGUF_CASES)
Arrays = dict[str, np.ndarray]


def problem_of(case: Case, outcome: Outcome) -> str:
    """How a run breaks the contract of its case, empty where it keeps it."""
    if case.code != 0:
        return error_problem(outcome, case.code, *case.words)
    if (outcome.code, outcome.err) != (0, ""):
        return f"exit code {outcome.code}: {outcome.err}"
    try:
        strict_json(outcome.out)
    except ValueError as error:
        return f"no strict JSON: {error}"
    missing = [word for word in case.words if word not in outcome.out]
    return f"the report lacks {missing}" if missing else ""


def strict_json(text: str) -> dict[str, object]:
    """The document; ValueError at NaN and Infinity, which JSON does not have."""

    def refuse(word: str) -> NoReturn:
        raise ValueError(f"{word} is no JSON")

    document: dict[str, object] = json.loads(text, parse_constant=refuse)
    return document


@pytest.mark.parametrize("case", ALL_CASES, ids=lambda case: case.name)
def test_hostile(tmp_path: Path, case: Case) -> None:
    odd, good = tmp_path / "odd", tmp_path / "good.safetensors"
    good.write_bytes(GOOD_BYTES)
    case.write(odd)
    before = sorted(os.listdir(tmp_path))
    for files in ((odd, good), (good, odd)):
        options = ["--json", "-"] if case.code == 0 else []
        assert problem_of(case, invoke("compare", *files, *options)) == ""
    assert sorted(os.listdir(tmp_path)) == before, "reading a file made another"


def test_the_malicious_code_would_have_left_a_mark(tmp_path: Path) -> None:
    Malicious(tmp_path).run()
    assert (tmp_path / MARKER).exists(), "the cases above could not have seen that it ran"


def test_torch_never_warns_on_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(pickle.dumps({"w": [1.0]}, 4))
    loud = environment(PYTHONWARNINGS="always")
    outcome = run_process("compare", tmp_path / "a", tmp_path / "a", env=loud)
    assert error_problem(outcome, 3, "not a pickle of tensors alone") == ""


def test_no_two_cases_have_one_name() -> None:
    names = [case.name for case in ALL_CASES]
    assert len(names) == len(set(names))


def test_planted_faults_are_found() -> None:
    good = Case("", lambda path: None, 0, ("word",))
    assert problem_of(good, Outcome(0, '{"word": 1}', "")) == ""
    assert problem_of(good, Outcome(0, '{"word": NaN}', "")) != ""
    assert problem_of(good, Outcome(0, "{}", "")) != ""
    assert problem_of(good, Outcome(0, '{"word": 1}', "Warning")) != ""
    assert problem_of(good, Outcome(3, '{"word": 1}', "")) != ""


def test_a_pipe_without_a_writer_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "good").write_bytes(GOOD_BYTES)
    outcome = run_process("compare", tmp_path / "good", tmp_path / "pipe", timeout=20)
    assert error_problem(outcome, 3, "not a regular file") == ""


def test_permission_denied_is_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *arguments: object) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a").write_bytes(GOOD_BYTES)
    monkeypatch.setattr(Path, "open", refuse)
    outcome = invoke("compare", tmp_path / "a", tmp_path / "a")
    assert error_problem(outcome, 3, "permission denied") == ""


def test_one_file_given_twice_is_identical(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(GOOD_BYTES)
    os.link(tmp_path / "a", tmp_path / "b")
    for other in ("a", "b"):
        outcome = invoke("compare", tmp_path / "a", tmp_path / other)
        assert outcome.code == 0
        assert "every compared tensor is identical" in " ".join(outcome.out.split())


def during_reading(
    monkeypatch: pytest.MonkeyPatch, folder: Path, change: Callable[[Path], None]
) -> Outcome:
    """Compare while `change` happens to file a, after it was opened and before it is read."""
    large = {"w": np.ones(1 << 17, np.float32)}
    for name in "ab":
        (folder / name).write_bytes(safetensors(large))
    real = study.measure_pairs

    def changed(*arguments: object, **options: object) -> object:
        change(folder / "a")
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(study, "measure_pairs", changed)
    return invoke("compare", folder / "a", folder / "b")


def truncate(path: Path) -> None:
    os.truncate(path, 1000)


def overwrite(path: Path) -> None:
    content = path.read_bytes()
    os.utime(path, ns=(0, 0))  # so that a coarse clock cannot hide the write
    path.write_bytes(content[:-4] + b"\0\0\0\0")


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


@pytest.mark.parametrize("change", [truncate, overwrite, append])
def test_a_file_that_changes_while_it_is_read_is_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    outcome = during_reading(monkeypatch, tmp_path, change)
    assert error_problem(outcome, 3, str(tmp_path / "a"), "changed while being read") == ""


def test_a_file_that_is_replaced_by_another_is_read_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(path: Path) -> None:
        (path.parent / "new").write_bytes(b"something else")
        os.replace(path.parent / "new", path)

    outcome = during_reading(monkeypatch, tmp_path, replace)
    assert outcome.code == 0
    assert "identical" in outcome.out


def test_a_read_error_is_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> NoReturn:
        raise OSError(5, "Input/output error")

    (tmp_path / "a").write_bytes(GOOD_BYTES)
    monkeypatch.setattr(os, "preadv", fail)
    outcome = invoke("compare", tmp_path / "a", tmp_path / "a")
    assert error_problem(outcome, 3, "cannot be read: Input/output error") == ""


def test_the_suffix_decides_nothing(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    (tmp_path / "a.bin").write_bytes(GOOD_BYTES)
    torch.save({n: torch.from_numpy(x) for n, x in GOOD.items()}, tmp_path / "b.safetensors")
    outcome = invoke("compare", tmp_path / "a.bin", tmp_path / "b.safetensors", "--json", "-")
    assert outcome.code == 0
    document = json.loads(outcome.out)
    assert [file["format"] for file in document["provenance"]["files"]] == ["safetensors", "torch"]
    assert document["pairing"]["identical"] == 2


@pytest.mark.slow
def test_very_many_tensors_end_in_time(tmp_path: Path) -> None:
    for side, value in (("a", 1), ("b", 2)):
        many = {f"layer.{i}.weight": np.full((2, 3), value, np.float32) for i in range(300_000)}
        (tmp_path / side).write_bytes(safetensors(many))
    outcome = run_process("compare", tmp_path / "a", tmp_path / "b", timeout=590)
    assert outcome.code == 0
    assert "(--all: 300,000 layers)" in outcome.out
    assert len(outcome.out.splitlines()) < 30
