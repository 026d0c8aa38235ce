"""`netdistance compare`: its exit codes, its thresholds, and what a person reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from netdistance import demo
from tests.cli.golden import golden_problem, wide_lines
from tests.cli.invoke import Outcome, error_problem, invoke, run_process

Arrays = dict[str, np.ndarray]
RELATIVE = "relative_frobenius"


def weights(seed: int = 0, *, step: float = 0.0) -> Arrays:
    """Two layers, moved by a fraction `step` of themselves."""
    draw = np.random.default_rng(seed)
    first = {
        "0.weight": draw.standard_normal((6, 5)),
        "0.bias": draw.standard_normal(6),
        "1.weight": draw.standard_normal((3, 6)),
    }
    return {name: (value * (1 + step)).astype(np.float32) for name, value in first.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file(weights(), tmp_path / "a.safetensors")
    save_file(weights(step=0.125), tmp_path / "b.safetensors")
    return tmp_path


def compared(
    folder: Path, *options: str, a: Arrays | None = None, b: Arrays | None = None
) -> Outcome:
    for name, arrays in (("a", a), ("b", b)):
        if arrays is not None:
            save_file(arrays, folder / f"{name}.safetensors")
    return invoke("compare", folder / "a.safetensors", folder / "b.safetensors", *options)


def test_compared_is_0(folder: Path) -> None:
    outcome = compared(folder)
    assert (outcome.code, outcome.err) == (0, "")
    assert "b differs from a" in outcome.out


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        (f"{RELATIVE}>0.2", 0),
        (f"{RELATIVE}>0.1", 1),
        (f" {RELATIVE} > 1e-1 ", 1),
        (f"{RELATIVE}>=0.1249", 1),
        (f"{RELATIVE}<0.1", 0),
        (f"{RELATIVE}<=0.2", 1),
        ("sqnr_db<10", 0),
        ("sqnr_db<20", 1),
        ("deep_relative_trust>0.3", 0),
        ("deep_relative_trust>0.2", 1),
        ("changed_fraction>=1", 1),
    ],
)
def test_a_threshold_decides_between_0_and_1(folder: Path, expression: str, code: int) -> None:
    outcome = compared(folder, "--fail-if", expression)
    assert (outcome.code, outcome.err) == (code, "")
    assert ("failed by" if code else "passed") in outcome.out


def test_thresholds_repeat_and_each_names_its_failures(folder: Path) -> None:
    moved = {**weights(), "1.weight": weights(step=0.5)["1.weight"]}
    expressions = ("--fail-if", f"{RELATIVE}>0.4", "--fail-if", f"{RELATIVE}>0.6")
    outcome = compared(folder, *expressions, "--json", "-", b=moved)
    thresholds = json.loads(outcome.out)["verdict"]["thresholds"]
    assert outcome.code == 1
    assert [(row["passed"], row["failures"]) for row in thresholds] == [
        (False, ["1.weight"]),
        (True, []),
    ]


def test_a_skipped_value_fails_a_threshold(folder: Path) -> None:
    hurt = weights()
    hurt["0.bias"][2] = np.nan
    for symbol in "<>":
        outcome = compared(folder, "--fail-if", f"{RELATIVE}{symbol}1e300", "--json", "-", b=hurt)
        (threshold,) = json.loads(outcome.out)["verdict"]["thresholds"]
        assert outcome.code == 1
        assert "0.bias" in threshold["failures"]


def test_identical_tensors_pass_a_threshold_on_noise(folder: Path) -> None:
    assert compared(folder, "--fail-if", "sqnr_db<300", b=weights()).code == 0
    assert compared(folder, "--fail-if", "sqnr_db>300", b=weights()).code == 1


@pytest.mark.parametrize("code", [0, 1])
def test_missing_or_broken_tensors_matter_only_where_asked(folder: Path, code: int) -> None:
    options = ["--require-all"] if code else []
    nan = weights()
    nan["0.weight"][0, 0] = np.inf
    less = {name: value for name, value in weights().items() if name != "0.bias"}
    other = {**weights(), "0.bias": np.ones(7, np.float32)}
    counted = {**weights(), "steps": np.array([3])}
    moved = {**weights(), "steps": np.array([4])}
    for a, b in ((weights(), nan), (weights(), less), (less, weights()), (weights(), other)):
        outcome = compared(folder, *options, a=a, b=b)
        assert outcome.code == code
        assert "Not covered: 1 tensor" in " ".join(outcome.out.split())
    assert compared(folder, *options, a=counted, b=moved).code == code


def test_require_all_holds_where_everything_is_compared(folder: Path) -> None:
    assert compared(folder, "--require-all").code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--fail-if", "relative_frobenius"), ("cannot read the threshold",)),
        (("--fail-if", "relative_frobenius>much"), ("cannot read the threshold",)),
        (("--fail-if", "relative_frobenius>1e"), ("cannot read the threshold",)),
        (("--fail-if", "beauty>1"), ("no number is called 'beauty'", RELATIVE)),
        (("--threads", "0"), ("--threads", "netdistance compare --help")),
        (("--no-such-option",), ("--no-such-option",)),
        (("--model", "net.py:build"), ("--inputs FILE", "--random-inputs SHAPE")),
        (("--model", "n.py:f", "--inputs", "x", "--random-inputs", "2,3"), ("give one",)),
        (("--inputs", "x.npy"), ("needs --model",)),
        (("third.safetensors",), ("unexpected extra argument",)),
        (("--plot", "figure.txt"), (".png, .svg, .pdf",)),
    ],
)
def test_a_request_that_makes_no_sense_is_2(
    folder: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert error_problem(compared(folder, *options), 2, *words) == ""


def test_a_missing_argument_is_2(folder: Path) -> None:
    assert (
        error_problem(invoke("compare", folder / "a.safetensors"), 2, "Missing argument 'B'") == ""
    )
    assert error_problem(invoke("compere"), 2, "compere") == ""


def test_an_unreadable_input_is_3(folder: Path) -> None:
    outcome = invoke("compare", folder / "a.safetensors", folder / "absent.safetensors")
    assert error_problem(outcome, 3, "absent.safetensors", "no such file") == ""


def test_an_absent_input_beside_a_report_that_exists_is_3(folder: Path) -> None:
    (folder / "r.json").write_text("old")
    outcome = invoke("compare", folder / "a.safetensors", folder / "c", "--json", folder / "r.json")
    assert error_problem(outcome, 3, "no such file") == ""
    assert (folder / "r.json").read_text() == "old"


def test_no_command_asks_for_help() -> None:
    outcome = invoke()
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == invoke("--help").out
    assert outcome.out.startswith("Usage: netdistance ")


def test_nothing_comparable_is_4(folder: Path) -> None:
    outcome = compared(folder, b={"other": np.ones((2, 2), np.float32)})
    assert error_problem(outcome, 4, "'other'", "3 names only in a") == ""
    outcome = compared(folder, b={name: value[..., None] for name, value in weights().items()})
    assert error_problem(outcome, 4, "3 of other shape") == ""


def test_an_internal_error_is_70_and_shows_its_traceback_on_request(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("a defect\nin two lines")

    monkeypatch.setattr("netdistance.studies.pair_weights.trust_rows", broken)
    outcome = compared(folder)
    assert error_problem(outcome, 70, "ZeroDivisionError: a defect in two lines", "--debug") == ""
    files = (folder / "a.safetensors", folder / "b.safetensors")
    shown = invoke("--debug", "compare", *files)
    assert shown.code == 70
    assert "Traceback" in shown.err


def test_memory_that_is_not_there_is_3(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*arguments: object, **options: object) -> None:
        raise MemoryError("Unable to allocate 8 TiB")

    monkeypatch.setattr("netdistance.studies.pair_weights.measure_pairs", too_much)
    assert error_problem(compared(folder), 3, "not enough memory", "8 TiB") == ""


def test_quiet_says_nothing_but_the_code(folder: Path) -> None:
    outcome = compared(folder, "--quiet", "--fail-if", f"{RELATIVE}>0")
    assert (outcome.code, outcome.out, outcome.err) == (1, "", "")
    (folder / "b.safetensors").write_bytes(b"")
    quiet = invoke("compare", folder / "a.safetensors", folder / "b.safetensors", "-q")
    assert error_problem(quiet, 3, "empty file") == ""


def test_all_shows_every_layer(tmp_path: Path) -> None:
    many = {f"{index}.weight": np.full((2, 2), index + 1.0) for index in range(20)}
    moved = {name: 2.0 * value for name, value in many.items()}
    short, full = (compared(tmp_path, *more, a=many, b=moved) for more in ((), ("--all",)))
    assert "(--all: 20 layers)" in short.out
    assert "(--all" not in full.out
    assert len(full.out.splitlines()) == len(short.out.splitlines()) + 7


def test_a_plain_locale_gets_plain_letters() -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PATH": ""}
    outcome = run_process("compare", demo.TRAINED, demo.ROUNDED, env=plain)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.isascii()
    assert "\\u2588" in outcome.out
    missing = run_process("compare", demo.TRAINED, "ä.safetensors", env=plain)
    assert error_problem(missing, 3, "no such file") == ""


def test_what_a_person_reads_of_compare() -> None:
    outcome = invoke("compare", demo.TRAINED, demo.ROUNDED)
    assert (outcome.code, outcome.err) == (0, "")
    assert golden_problem("compare.txt", outcome.out) == ""
    assert wide_lines(outcome.out) == []


def test_what_a_person_reads_of_the_demo() -> None:
    outcome = invoke("demo")
    text = outcome.out.replace(str(demo.FOLDER), "DEMO")
    assert (outcome.code, outcome.err) == (0, "")
    assert golden_problem("demo.txt", text) == ""
    assert wide_lines(text) == []


def test_a_planted_difference_from_a_golden_text_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NETDISTANCE_UPDATE_GOLDEN", raising=False)
    assert "does not exist" in golden_problem("a.txt", "x\n", folder=tmp_path)
    (tmp_path / "a.txt").write_text("one\ntwo\n", encoding="utf-8")
    assert golden_problem("a.txt", "one\ntwo\n", folder=tmp_path) == ""
    for text in ("one\ntwo", "one\r\ntwo\n", "one\ntwo\nthree\n", "one\n", "One\ntwo\n"):
        assert golden_problem("a.txt", text, folder=tmp_path) != ""
    assert wide_lines("x" * 80 + "\n" + "x" * 81) == ["x" * 81]


def test_planted_faults_of_an_error_are_found() -> None:
    line = "netdistance: error: f: what\n"
    assert error_problem(Outcome(3, "", line), 3, "what") == ""
    for wrong in (
        Outcome(4, "", line),
        Outcome(3, "x", line),
        Outcome(3, "", "Traceback\n" + line),
        Outcome(3, "", line + line),
        Outcome(3, "", line[:-1]),
        Outcome(3, "", "netdistance: error: f: \x1b what\n"),
        Outcome(3, "", "netdistance: error: f: why\n"),
    ):
        assert error_problem(wrong, 3, "what") != ""
