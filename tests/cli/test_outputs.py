"""Where `netdistance compare` writes: whole files or none, and only what was asked for."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from netdistance import demo
from netdistance.report.files import write_atomically
from tests.cli.invoke import (
    Outcome,
    command,
    environment,
    error_problem,
    invoke,
    leftovers,
    run_process,
)

HOSTILE = (
    "a\x1b[31mred",
    "b\nnetdistance: error: forged",
    "c\u202egnp.exe",
    "d\x00nul",
    "e<script>alert(1)</script>",
    "=HYPERLINK(1)",
    "../../../etc/passwd",
    "f\u200bzero-width\u2066",
    "g\x9bcsi",
    "",
    "h" * 3000,
    "[bold]markup[/bold]",
)


def demo_to(*options: str | os.PathLike[str]) -> Outcome:
    return invoke("compare", demo.TRAINED, demo.ROUNDED, *options)


def test_json_to_a_file_and_to_stdout_is_the_same_document(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    with_text, alone = demo_to("--json", target), demo_to("--json", "-")
    assert "deep relative trust" in with_text.out
    documents = [json.loads(text) for text in (target.read_text("ascii"), alone.out)]
    for document in documents:
        assert document.pop("provenance")["files"][0]["path"] == str(demo.TRAINED)
    assert documents[0] == documents[1]
    assert alone.err == ""
    assert leftovers(tmp_path, "report.json") == []


def test_an_existing_report_is_replaced_and_keeps_nothing_of_the_old(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_text("x" * 100_000)
    inode = target.stat().st_ino
    assert demo_to("--json", target, "--quiet").code == 0
    assert json.loads(target.read_text())["schema_version"] == 1
    assert target.stat().st_ino != inode, "written in place, not replaced"


def test_a_figure_is_written_and_named(tmp_path: Path) -> None:
    outcome = demo_to("--plot", tmp_path / "figure.svg")
    assert outcome.code == 0
    assert f"figure: {tmp_path / 'figure.svg'}" in outcome.out
    assert "<svg" in (tmp_path / "figure.svg").read_text()


def test_a_new_report_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"x")
    (tmp_path / "b").write_bytes(b"x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_full_disk_is_5() -> None:
    assert error_problem(demo_to("--json", "/dev/full"), 5, "/dev/full", "cannot be written") == ""


def test_standard_output_on_a_full_disk_is_5() -> None:
    for options in ((), ("--json", "-")):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                command("compare", demo.TRAINED, demo.ROUNDED, *options),
                env=environment(),
                stdout=full,
                stderr=subprocess.PIPE,
                timeout=60,
                check=False,
            )
        outcome = Outcome(done.returncode, "", done.stderr.decode())
        assert error_problem(outcome, 5, "standard output", "cannot be written") == ""


@pytest.mark.parametrize(("stream", "file", "code"), [(1, demo.ROUNDED, 5), (2, "absent", 3)])
def test_a_closed_stream_keeps_the_exit_code(stream: int, file: Path | str, code: int) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {stream}>&-', *command("compare", demo.TRAINED, file)],
        env=environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    error = done.stderr.decode()
    assert (done.returncode, done.stdout) == (code, b"")
    assert error == "" if stream == 2 else "standard output: is closed" in error


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_report_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "report.json").write_text("old")
    monkeypatch.setattr(os, step, full)
    outcome = demo_to("--json", tmp_path / "report.json")
    assert error_problem(outcome, 5, "report.json", "No space left") == ""
    assert (tmp_path / "report.json").read_text() == "old"
    assert leftovers(tmp_path, "report.json") == []


def test_a_folder_that_cannot_be_written_is_5() -> None:
    # /proc refuses new files to every user, root included
    outcome = demo_to("--json", "/proc/report.json")
    assert error_problem(outcome, 5, "/proc/report.json", "cannot be written") == ""


def test_a_name_that_the_system_refuses_is_an_error_of_one_line(tmp_path: Path) -> None:
    outcome = demo_to("--json", tmp_path / ("x" * 300))
    assert error_problem(outcome, 2, "File name too long") == ""


def test_an_output_that_is_an_input_is_2_before_anything_is_read(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("not a checkpoint: reading it would end with 3")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    os.link(tmp_path / "a", tmp_path / "hard")
    for target in ("a", "b", "link", "hard", "../" + tmp_path.name + "/a"):
        outcome = invoke("compare", tmp_path / "a", tmp_path / "b", "--json", tmp_path / target)
        assert error_problem(outcome, 2, "is also an input") == ""
    assert (tmp_path / "a").read_text().startswith("not a checkpoint")


def test_an_output_that_cannot_be_is_2_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("not a checkpoint: reading it would end with 3")
    for target, words in (
        (tmp_path, "is a directory"),
        (tmp_path / "absent" / "r.json", "its folder does not exist"),
        (tmp_path / "a" / "r.json", "its folder does not exist"),
    ):
        outcome = invoke("compare", tmp_path / "a", tmp_path / "a", "--json", target)
        assert error_problem(outcome, 2, words) == ""


def test_two_outputs_in_one_file_are_2(tmp_path: Path) -> None:
    target = tmp_path / "both.svg"
    assert error_problem(demo_to("--json", target, "--plot", target), 2, "both.svg") == ""


@pytest.mark.parametrize("options", [(), ("--json", "-")])
def test_a_reader_that_leaves_early_is_no_error(options: tuple[str, ...]) -> None:
    with subprocess.Popen(
        command("compare", demo.TRAINED, demo.ROUNDED, *options),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        error = process.stderr.read()
    assert (process.returncode, error) == (0, b"")


def test_json_of_hostile_names_holds_them_and_the_terminal_does_not(tmp_path: Path) -> None:
    # the shortest of the long list of layers would hide rows: two at a time
    for pair in zip(HOSTILE[::2], HOSTILE[1::2], strict=True):
        arrays = {name: np.ones((2, 2), np.float32) for name in pair}
        moved = {name: np.full((2, 2), np.nan, np.float32) for name in pair}
        save_file({**arrays, "w": np.ones(1)}, tmp_path / "a")
        for b in (moved, {"w": np.ones(1)}, {name: np.ones((1, 4)) for name in (*pair, "w")}):
            save_file(b, tmp_path / "b")
            outcome = invoke("compare", tmp_path / "a", tmp_path / "b", "--all")
            text = outcome.out + outcome.err
            assert all(line.isprintable() for line in text.split("\n")), text
            assert not any(line.startswith("netdistance: error: forged") for line in text.split())
            document = invoke("compare", tmp_path / "a", tmp_path / "b", "--json", "-").out
            assert document.isascii()
    shown = json.loads(invoke("compare", tmp_path / "a", tmp_path / "a", "--json", "-").out)
    assert {row["name"] for row in shown["tensors"]} == {*pair, "w"}


def test_hostile_paths_never_reach_the_terminal_raw(tmp_path: Path) -> None:
    name = "a\x1b[2J\n\u202eb.safetensors"
    outcome = invoke("compare", tmp_path / name, demo.ROUNDED)
    assert error_problem(outcome, 3, "\\x1b[2J", "\\u202eb") == ""
    (tmp_path / name).write_bytes(demo.TRAINED.read_bytes())
    good = invoke("compare", tmp_path / name, demo.ROUNDED)
    assert good.code == 0
    assert all(line.isprintable() for line in good.out.split("\n"))


def test_a_path_that_is_no_utf8_is_read(tmp_path: Path) -> None:
    name = os.fsdecode(b"weights-\xff.safetensors")
    (tmp_path / name).write_bytes(demo.TRAINED.read_bytes())
    outcome = run_process("compare", tmp_path / name, demo.ROUNDED, "--json", tmp_path / "r.json")
    assert (outcome.code, outcome.err) == (0, "")
    assert (
        "weights-"
        in json.loads((tmp_path / "r.json").read_text())["provenance"]["files"][0]["path"]
    )
