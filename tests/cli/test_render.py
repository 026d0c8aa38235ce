"""`netdistance render`, and the outputs that every command shares."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from netdistance import demo
from netdistance.report.document import Report
from netdistance.report.json import render_json
from netdistance.report.renderers import RENDERERS, render
from tests.cli.invoke import Outcome, command, environment, error_problem, invoke, leftovers
from tests.house.test_no_torch import run_and_list_modules, unwanted
from tests.unit.report.case_reports import CASE_REPORTS, with_model

NAMES, REPORTS = zip(*CASE_REPORTS, strict=True)
FORMS = ("json", "csv", "markdown", "html")


def demo_to(*options: str | os.PathLike[str]) -> Outcome:
    return invoke("compare", demo.TRAINED, demo.ROUNDED, *options)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "report.json"
    path.write_bytes(render_json(with_model()))
    return path


def test_a_rendered_report_is_what_the_command_would_have_written(tmp_path: Path) -> None:
    direct, again = tmp_path / "direct", tmp_path / "again"
    options: dict[Path, list[str]] = {direct: [], again: []}
    for folder, words in options.items():
        folder.mkdir()
        for renderer in RENDERERS:
            if renderer.option not in ("text", "plot") or renderer.name == "svg":
                words += [f"--{renderer.option}", str(folder / f"r{renderer.suffix}")]
    first = demo_to(*options[direct])
    assert (first.code, first.err) == (0, "")
    second = invoke("render", direct / "r.json", "--text", *options[again])
    assert (second.code, second.err) == (0, "")
    assert first.out.replace(str(direct), str(again)) == second.out
    names = leftovers(direct)
    assert names == ["r.csv", "r.html", "r.json", "r.md", "r.svg"] == leftovers(again)
    assert [n for n in names if (direct / n).read_bytes() != (again / n).read_bytes()] == []


@pytest.mark.parametrize("report", REPORTS, ids=NAMES)
def test_every_saved_report_prints_its_text(tmp_path: Path, report: Report) -> None:
    (tmp_path / "r.json").write_bytes(render_json(report))
    outcome = invoke("render", tmp_path / "r.json")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == render(report, "text").decode()


@pytest.mark.parametrize("form", FORMS)
def test_a_document_on_stdout_stands_there_alone(saved: Path, form: str) -> None:
    outcome = invoke("render", saved, f"--{form}", "-")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == render(with_model(), form).decode()
    assert demo_to(f"--{form}", "-").out.count("How to read it") == 0
    compared = invoke("demo", f"--{form}", "-").out
    assert "Run next" not in compared and "layer            " not in compared


def test_files_beside_a_document_on_stdout(saved: Path, tmp_path: Path) -> None:
    outcome = invoke("render", saved, "--csv", tmp_path / "r.csv", "--json", "-")
    assert json.loads(outcome.out)["study"] == "compare"
    assert (tmp_path / "r.csv").read_bytes() == render(with_model(), "csv")


def test_outputs_without_text_are_silent_and_text_is_asked_for(saved: Path, tmp_path: Path) -> None:
    target = tmp_path / "r.html"
    assert invoke("render", saved, "--html", target).out == ""
    assert invoke("render", saved, "--html", target, "--text").out != ""
    assert invoke("render", saved, "--quiet").out == ""
    assert leftovers(tmp_path, "report.json", "r.html") == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--text", "--csv", "-"), ("--text",)),
        (("--text", "--quiet"), ("--text",)),
        (("--csv", "-", "--html", "-"), ("named for two outputs",)),
        (("--csv", "r.x", "--html", "./r.x"), ("named for two outputs",)),
        (("--csv", "r.x", "--html", "link"), ("named for two outputs",)),
        (("--csv", "."), ("is a directory",)),
        (("--markdown", "report.json"), ("is also an input",)),
        (("--html", "absent/r.html"), ("its folder does not exist",)),
        (("--html", "x" * 300), ("File name too long",)),
        (("--plot", "-"), (".png, .svg, .pdf",)),
        (("--plot", "r.jpg"), (".png, .svg, .pdf",)),
    ],
)
def test_outputs_that_cannot_be_are_2_and_write_nothing(
    saved: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(saved.parent)
    before = saved.read_bytes()
    Path("link").symlink_to("r.x")
    assert error_problem(invoke("render", "report.json", *options), 2, *words) == ""
    assert saved.read_bytes() == before
    assert leftovers(saved.parent, "report.json", "link") == []


@pytest.mark.parametrize("form", FORMS)
def test_outputs_are_checked_before_anything_is_read(tmp_path: Path, form: str) -> None:
    (tmp_path / "a").write_text("not a checkpoint: reading it would end with 3")
    outcome = invoke("compare", tmp_path / "a", tmp_path / "a", f"--{form}", tmp_path / "a")
    assert error_problem(outcome, 2, "is also an input") == ""


@pytest.mark.parametrize("form", FORMS)
def test_a_full_disk_is_5(form: str, saved: Path) -> None:
    outcome = invoke("render", saved, f"--{form}", "/dev/full")
    assert error_problem(outcome, 5, "/dev/full", "cannot be written") == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ("no strict JSON",)),
        ("{}", ("has no schema_version",)),
        ('{"schema_version": 2}', ("schema_version is 2, expected 1",)),
        ('{"schema_version": 1, "a\x1b[31m": 1}', ("no strict JSON",)),
        ('{"schema_version": 1, "a\\u001b[31m": 1}', ("unknown key",)),
    ],
)
def test_a_file_that_is_no_report_is_3(
    tmp_path: Path, content: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "r.json").write_text(content)
    outcome = invoke("render", tmp_path / "r.json", "--html", tmp_path / "r.html")
    assert error_problem(outcome, 3, "r.json", *words) == ""
    assert leftovers(tmp_path, "r.json") == []


def test_an_absent_report_is_3(tmp_path: Path) -> None:
    assert error_problem(invoke("render", tmp_path / "r.json"), 3, "cannot be read") == ""
    assert error_problem(invoke("render", tmp_path), 3, "cannot be read") == ""


@pytest.mark.parametrize("study", ["perturb", "levitate", "train"])
def test_a_report_that_lacks_what_its_study_holds_is_3(tmp_path: Path, study: str) -> None:
    document = json.loads(render_json(dict(CASE_REPORTS)["perturb"]))
    document["study"] = study
    document["sweep"][0]["bounds"] = []
    (tmp_path / "r.json").write_text(json.dumps(document))
    outcome = invoke("render", tmp_path / "r.json")
    if study == "train":  # a table without rows
        assert outcome.code == 0
    else:
        assert error_problem(outcome, 3, "lacks what a report of", study) == ""


def test_a_failed_threshold_was_judged_already(tmp_path: Path) -> None:
    target = tmp_path / "r.json"
    assert demo_to("--fail-if", "max_abs>0", "--json", target, "-q").code == 1
    outcome = invoke("render", target)
    assert (outcome.code, "failed by" in outcome.out) == (0, True)


def test_a_report_comes_through_a_pipe(saved: Path) -> None:
    done = subprocess.run(
        command("render", "-", "--csv", "-"),
        input=saved.read_bytes(),
        env=environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == render(with_model(), "csv")


@pytest.mark.parametrize(
    ("options", "loaded"),
    [
        ((), []),
        (("--csv", "-"), []),
        (("--markdown", "-"), []),
        (("--json", "-"), []),
        (("--html", "-"), ["matplotlib"]),
    ],
)
def test_render_never_imports_torch(
    saved: Path, tmp_path: Path, options: tuple[str, ...], loaded: list[str]
) -> None:
    code, modules, out = run_and_list_modules(["render", str(saved), *options], tmp_path)
    assert (code, unwanted(modules)) == (0, loaded)
    assert out
