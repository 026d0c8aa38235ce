"""`netdistance gradients` on the demo's files: the JSON contract, the text, a pair and errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import netdistance
from netdistance import demo
from tests.cli.contract import check_bound, kind, strict, without_provenance
from tests.cli.golden import golden_problem, wide_lines
from tests.cli.invoke import Outcome, environment, error_problem, invoke
from tests.cli.test_signals import DRIVER

Words = str | os.PathLike[str]
FEW = ("--draws", "2", "--relative-step", "0.003,0.03")
WEIGHTS = ["0.weight", "2.weight", "4.weight"]


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    """Options that name forty of the demo's points and their labels."""
    np.save(tmp_path / "points.npy", np.load(demo.POINTS)[::25])
    np.save(tmp_path / "labels.npy", np.load(demo.LABELS)[::25])
    return ["--inputs", f"{tmp_path}/points.npy", "--targets", f"{tmp_path}/labels.npy"]


def measured(data: list[str], *options: Words, files: tuple[Words, ...] = ()) -> Outcome:
    named = files or (demo.TRAINED,)
    return invoke("gradients", *named, "--model", demo.MODEL, *data, *FEW, *options)


def document(data: list[str], *options: Words, files: tuple[Words, ...] = ()) -> dict[str, Any]:
    outcome = measured(data, "--json", "-", *options, files=files)
    assert (outcome.code, outcome.err) == (0, "")
    return strict(outcome.out)


def test_the_document(data: list[str]) -> None:
    report = document(data, files=(demo.TRAINED, demo.ROUNDED))
    assert (report["study"], report["pairing"], report["bounds"]) == ("gradients", None, [])
    places = [(place["move"], place["size"]) for place in report["gradients"]]
    sizes = [("step", 0.003), ("step", 0.03), ("noise", 0.003), ("noise", 0.03)]
    assert places == sizes + [("pair", t) for t in (0.01, 0.03, 0.1, 0.3, 1.0)]
    for place in report["gradients"]:
        assert set(place) == {"move", "size", "gradient_change", "loss", "bounds", "tensors"}
        drawn = place["move"] == "noise"
        names = ["deep_relative_trust"] if drawn else ["deep_relative_trust", "loss_change"]
        assert [row["name"] for row in place["bounds"]] == names
        for row in place["bounds"]:
            check_bound(row)
        known = "estimate" if drawn else "exact"
        assert kind(place["loss"]) == kind(place["gradient_change"]) == known
        assert [row["tensor"] for row in place["tensors"]] == WEIGHTS
        for row in place["tensors"]:
            own = {"tensor", "relative_step", "gradient_change"}
            assert set(row) == (own | {"loss"} if place["move"] == "step" else own)
            assert kind(row["relative_step"]) == kind(row["gradient_change"]) == known
    assert [row["move"] for row in report["descent"]] == ["step", "pair"]
    for row in report["descent"]:
        assert set(row) == {"move", "smallest_cosine", "bounds"}
        check_bound(row["bounds"][0])
    step = report["descent"][0]["bounds"][0]
    assert step["value"]["value"] == pytest.approx(2.0 ** (1 / 3) - 1.0, rel=1e-6)
    assert [row["move"] for row in document(data)["descent"]] == ["step"]


def test_the_model_promises_more_than_the_loss_keeps(data: list[str]) -> None:
    report = document(data)
    # the trained network: kept so that nobody takes a model for a bound
    for place in report["gradients"]:
        assert place["bounds"][0]["measured"]["value"] > place["bounds"][0]["value"]["value"]
    step = report["descent"][0]["bounds"][0]
    assert step["measured"]["value"] < 0.1 * step["value"]["value"]
    assert "is exceeded in 4 of 4 moves" in report["verdict"]["text"]


def test_the_text(data: list[str]) -> None:
    outcome = measured(data)
    assert (outcome.code, outcome.err) == (0, "")
    assert wide_lines(outcome.out) == []
    assert golden_problem("gradients.txt", outcome.out) == ""


def test_the_text_of_a_pair(data: list[str]) -> None:
    outcome = measured(data, "--scope", "all", files=(demo.TRAINED, demo.ROUNDED))
    assert (outcome.code, outcome.err) == (0, "")
    assert wide_lines(outcome.out) == []
    assert golden_problem("gradients-pair.txt", outcome.out) == ""


def test_the_same_run_gives_the_same_document(data: list[str]) -> None:
    first, again, other = (
        without_provenance(measured(data, "--json", "-", "--seed", seed).out)
        for seed in ("3", "3", "4")
    )
    assert first == again
    assert first["gradients"][:2] == other["gradients"][:2]  # nothing is drawn down the gradient
    assert first["gradients"][2:] != other["gradients"][2:]


def test_python_gives_the_same(data: list[str]) -> None:
    options = netdistance.GradientsOptions(
        model=demo.MODEL, inputs=data[1], targets=data[3], draws=2, relative_step=(0.03, 0.003)
    )
    report = netdistance.gradients(demo.TRAINED, options, b=demo.ROUNDED)
    found = without_provenance(netdistance.render_json(report).decode())
    told = measured(data, "--json", "-", files=(demo.TRAINED, demo.ROUNDED))
    assert found == without_provenance(told.out)


def test_tensors_are_chosen_by_globs(data: list[str]) -> None:
    report = document(data, "--layers", "2.*", "--scope", "all")
    for place in report["gradients"]:
        assert [row["tensor"] for row in place["tensors"]] == ["2.weight", "2.bias"]
        assert place["bounds"][0]["assumptions"][1] == "product over 1 weight"
    # one weight, and Lemma 2 is of one layer
    step = report["descent"][0]["bounds"][0]
    assert step["value"]["value"] == pytest.approx(1.0, rel=1e-6)
    outcome = measured(data, "--layers", "conv*")
    assert error_problem(outcome, 2, "--layers conv*", "0.weight") == ""
    biases = measured(data, "--layers", "*.bias")
    assert error_problem(biases, 2, "no parameter of scope weights to move") == ""


def test_biases_alone_have_no_trust_to_exceed(data: list[str]) -> None:
    report = document(data, "--layers", "*.bias", "--scope", "all")
    assert report["gradients"][0]["bounds"][0]["value"] == {"kind": "exact", "value": 0.0}
    step = report["descent"][0]["bounds"][0]
    assert step["value"]["reason"] == "no weight with two or more axes moves"


@pytest.mark.slow
def test_figures_and_tables(data: list[str], tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.svg", "a.html", "a.csv", "a.md")]
    named = zip(("--plot", "--html", "--csv", "--markdown"), files, strict=True)
    options = [word for pair in named for word in pair]
    assert measured(data, *options, files=(demo.TRAINED, demo.ROUNDED)).code == 0
    svg, html, csv, markdown = (path.read_text() for path in files)
    assert "modelled: deep relative trust" in svg and "along a + t(b - a)" in svg
    assert "max_relative_step" in html and "gradients.tensors" in csv
    assert "gradient_change" in markdown


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--relative-step", "0"), 2, ("--relative-step 0", "expected numbers from")),
        (("--relative-step", "nan"), 2, ("--relative-step nan",)),
        (("--relative-step", "much"), 2, ("'much'", "numbers separated by commas")),
        (("--relative-step", ""), 2, ("--relative-step 0",)),
        (("--draws", "1"), 2, ("--draws",)),
    ],
    ids=["no step", "NaN", "a word", "nothing", "one draw"],
)
def test_what_cannot_be_asked(
    data: list[str], options: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    assert error_problem(measured(data, *options), code, *words) == ""


def test_labels_are_needed(data: list[str]) -> None:
    assert error_problem(measured(data[:2]), 2, "gradients needs --targets") == ""


def test_a_second_file_that_does_not_fit_is_named(data: list[str], tmp_path: Path) -> None:
    weights = dict(load_file(demo.TRAINED))
    del weights["4.bias"]
    save_file(weights, tmp_path / "short.safetensors")
    short = measured(data, files=(demo.TRAINED, tmp_path / "short.safetensors"))
    assert error_problem(short, 3, "short.safetensors", "missing '4.bias'") == ""
    gone = measured(data, files=(demo.TRAINED, tmp_path / "gone.safetensors"))
    assert error_problem(gone, 3, "gone.safetensors") == ""


def test_weights_that_are_not_finite(data: list[str], tmp_path: Path) -> None:
    weights = dict(load_file(demo.TRAINED))
    weights["2.weight"] = np.full_like(weights["2.weight"], np.nan)
    save_file(weights, tmp_path / "nan.safetensors")
    start = measured(data, files=(tmp_path / "nan.safetensors",))
    assert error_problem(start, 3, "not finite", "give finite weights") == ""
    report = document(data, files=(demo.TRAINED, tmp_path / "nan.safetensors"))
    for place in report["gradients"][4:]:
        assert place["loss"]["reason"] == "the loss there is not finite"
        assert place["bounds"][0]["value"]["kind"] == "skipped"


def test_zero_weights_are_rows_with_reasons(data: list[str], tmp_path: Path) -> None:
    weights = {name: np.zeros_like(w) for name, w in load_file(demo.TRAINED).items()}
    save_file(weights, tmp_path / "zero.safetensors")
    outcome = measured(data, files=(tmp_path / "zero.safetensors",))
    assert (outcome.code, outcome.err) == (0, "")
    text = " ".join(outcome.out.split())
    assert text.startswith("Down the gradient nothing was measured: every gradient is zero.")
    assert "the tensor is zero and stays: a zero has no scale of its own" in text


@pytest.mark.slow
def test_a_signal_ends_the_run_cleanly(data: list[str], tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("old")
    stage = ("netdistance.studies.gradients", "along_step")
    words = [str(demo.TRAINED), "--model", demo.MODEL, *data, "--json", f"{tmp_path}/report.json"]
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, *stage, "gradients", *words],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(7) == b"reached"
        process.send_signal(signal.SIGINT)
        outcome = Outcome(
            process.wait(timeout=30), process.stdout.read().decode(), process.stderr.read().decode()
        )
    assert error_problem(outcome, 130, "interrupted") == ""
    assert (tmp_path / "report.json").read_text() == "old"


def test_what_differs_in_b_and_stays_is_named(tmp_path: Path) -> None:
    tensors = load_file(demo.TRAINED)
    tensors["0.bias"] = tensors["0.bias"] + 1.0
    save_file(tensors, tmp_path / "b.safetensors")
    data = ("--inputs", demo.POINTS, "--targets", demo.LABELS, "--draws", "2")
    words = ("gradients", demo.TRAINED, tmp_path / "b.safetensors", "--model", demo.MODEL, *data)
    said = " ".join(invoke(*words).out.split())
    assert "1 tensor that differs stays a's (0.bias), so that t = 1 is not b itself." in said
    assert "stays a's" not in invoke(*words, "--scope", "all").out
