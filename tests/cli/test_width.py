"""`netdistance width` on the demo's files: the JSON contract, the text, two minima and errors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netdistance import demo
from tests.cli.contract import kind, strict, without_provenance
from tests.cli.golden import golden_problem, wide_lines
from tests.cli.invoke import Outcome, error_problem, invoke

FEW = ("--draws", "4", "--layer-draws", "2", "--eigenvalues", "2")


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    """Options that name forty of the demo's points and their labels."""
    np.save(tmp_path / "points.npy", np.load(demo.POINTS)[::25])
    np.save(tmp_path / "labels.npy", np.load(demo.LABELS)[::25])
    return ["--inputs", f"{tmp_path}/points.npy", "--targets", f"{tmp_path}/labels.npy"]


def measured(data: list[str], *options: str | os.PathLike[str], model: str = demo.MODEL) -> Outcome:
    return invoke("width", demo.TRAINED, "--model", model, *data, *FEW, *options)


def document(data: list[str], *options: str | os.PathLike[str]) -> dict[str, Any]:
    outcome = measured(data, "--json", "-", *options)
    assert (outcome.code, outcome.err) == (0, "")
    return strict(outcome.out)


def test_the_document(data: list[str]) -> None:
    report = document(data)
    assert (report["study"], report["pairing"], report["bounds"]) == ("width", None, [])
    assert kind(report["reference_loss"]) == kind(report["reference_accuracy"]) == "estimate"
    places = [(row["directions"], row["layer"]) for row in report["width"]]
    assert places == [(d, y) for y in (None, "0", "2", "4") for d in ("random", "worst")]
    for row in report["width"]:
        keys = {"directions", "layer", "tolerance", "radius", "criterion", "quantiles"}
        assert set(row) == {*keys, "interval"}
        assert (row["tolerance"], row["criterion"]) == (0.1, "loss")
        assert kind(row["radius"]) == ("estimate" if row["directions"] == "random" else "exact")
        drawn = row["directions"] == "random"
        assert list(row["quantiles"]) == (["0.0", "0.5", "1.0"] if drawn else [])
        assert list(row["interval"]) == (["lower_95", "upper_95"] if drawn else [])
    random, worst = report["width"][:2]
    assert worst["radius"]["value"] <= random["quantiles"]["0.0"]
    assert "against" not in report


def test_the_curvature(data: list[str]) -> None:
    curvature = document(data)["curvature"]
    assert set(curvature) == {"parameters", "top_eigenvalues", "trace", "relative_trace"}
    assert curvature["parameters"] == 2 * 64 + 64 + 64 * 64 + 64 + 64 * 3 + 3
    assert [kind(value) for value in curvature["top_eigenvalues"]] == ["interval"] * 2
    assert kind(curvature["trace"]) == kind(curvature["relative_trace"]) == "estimate"
    assert "curvature" not in document(data, "--eigenvalues", "0", "--layer-draws", "0")


def test_the_text(data: list[str]) -> None:
    outcome = measured(data)
    assert (outcome.code, outcome.err) == (0, "")
    assert wide_lines(outcome.out) == []
    assert golden_problem("width.txt", outcome.out) == ""


def test_the_text_of_accuracy_and_two_minima(data: list[str]) -> None:
    accuracy = ("--criterion", "accuracy", "--tolerance", "0.05", "--scope", "all")
    outcome = measured(data, "--against", demo.ROUNDED, *accuracy)
    assert (outcome.code, outcome.err) == (0, "")
    assert wide_lines(outcome.out) == []
    assert golden_problem("width-against.txt", outcome.out) == ""


def test_two_minima_in_one_document(data: list[str]) -> None:
    report = document(data, "--against", demo.ROUNDED)
    alone = document(data)
    against = report["against"]
    assert report["width"] == alone["width"] and report["curvature"] == alone["curvature"]
    keys = {"reference_loss", "reference_accuracy", "width", "ratio", "curvature"}
    assert set(against) == keys
    places = [(row["directions"], row["layer"]) for row in report["width"]]
    for rows in (against["width"], against["ratio"]):
        assert [(row["directions"], row["layer"]) for row in rows] == places
    for a, b, ratio in zip(report["width"], against["width"], against["ratio"], strict=True):
        expected = b["radius"]["value"] / a["radius"]["value"]
        assert ratio["value"]["value"] == pytest.approx(expected)


def test_a_minimum_against_itself_is_as_wide(data: list[str]) -> None:
    report = document(data, "--against", demo.TRAINED)
    assert {row["value"]["value"] for row in report["against"]["ratio"]} == {1.0}
    assert report["verdict"]["text"].startswith("The width does not tell")


def test_the_same_run_gives_the_same_document(data: list[str]) -> None:
    first, again, other = (
        without_provenance(measured(data, "--json", "-", "--seed", seed).out)
        for seed in ("3", "3", "4")
    )
    assert first == again
    assert first["width"] != other["width"]


def test_layers_are_chosen_by_globs(data: list[str]) -> None:
    report = document(data, "--layers", "2.*")
    assert [row["layer"] for row in report["width"]] == [None, None, "2", "2"]
    problem = error_problem(measured(data, "--layers", "conv*"), 2, "--layers conv*", "0.weight")
    assert problem == ""


def test_figures_and_tables(data: list[str], tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.svg", "a.html", "a.csv", "a.md")]
    named = zip(("--plot", "--html", "--csv", "--markdown"), files, strict=True)
    options = [word for pair in named for word in pair]
    assert measured(data, "--against", demo.ROUNDED, *options).code == 0
    svg, html, csv, markdown = (path.read_text() for path in files)
    assert "all together" in svg and ", worst found: a shorter one may exist" in svg
    # what null means in the document, a person is told
    assert "all together" in csv and "all together" in html and "all together" in markdown
    assert "relative trace" in html and "against.ratio" in csv and "radius" in markdown


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--tolerance", "0"), 2, ("--tolerance 0", "at least")),
        (("--tolerance", "nan"), 2, ("--tolerance nan",)),
        (("--against", "nowhere.safetensors"), 3, ("nowhere.safetensors",)),
        (("--draws", "1"), 2, ("--draws",)),
    ],
    ids=["no tolerance", "NaN", "no second file", "one draw"],
)
def test_what_cannot_be_asked(
    data: list[str], options: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    assert error_problem(measured(data, *options), code, *words) == ""


def test_labels_are_needed(data: list[str]) -> None:
    assert error_problem(measured(data[:2]), 2, "width needs --targets") == ""


def test_other_answers_than_classes_are_refused(data: list[str], tmp_path: Path) -> None:
    np.save(tmp_path / "tokens.npy", np.zeros((40, 2), dtype=np.int64))
    tokens = measured([*data[:3], f"{tmp_path}/tokens.npy"])
    assert error_problem(tokens, 3, "one label for an input") == ""
    np.save(tmp_path / "wrong.npy", np.full(40, 7))
    wrong = measured([*data[:3], f"{tmp_path}/wrong.npy"])
    assert error_problem(wrong, 3, "labels from 7 to 7", "expected 0 to 2") == ""


def test_a_loss_that_never_rises_so_far_is_skipped(data: list[str]) -> None:
    report = document(data, "--tolerance", "1e9")
    assert {row["radius"]["reason"] for row in report["width"]} == {"not reached up to 1000%"}
    text = measured(data, "--tolerance", "1e9").out
    assert "has no random radius: not reached up to 1000%" in " ".join(text.split())
