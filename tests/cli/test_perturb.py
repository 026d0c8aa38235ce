"""`netdistance perturb` on the demo's files: the JSON contract, the text, figures and errors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netdistance import demo
from netdistance.bounds.certificates import Certified, Certifier, Rung
from netdistance.quantities import Interval
from tests.cli.contract import check_bound, check_quantiles, kind, strict, without_provenance
from tests.cli.golden import golden_problem, wide_lines
from tests.cli.invoke import Outcome, error_problem, invoke


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    """Options that name forty of the demo's points and their labels."""
    np.save(tmp_path / "points.npy", np.load(demo.POINTS)[::25])
    np.save(tmp_path / "labels.npy", np.load(demo.LABELS)[::25])
    return ["--inputs", f"{tmp_path}/points.npy", "--targets", f"{tmp_path}/labels.npy"]


def perturbed(
    data: list[str], *options: str | os.PathLike[str], model: str = demo.MODEL
) -> Outcome:
    few = ("--draws", "3", "--certify", "3", "--noise", "0.01,0.2")
    return invoke("perturb", demo.TRAINED, "--model", model, *data, *few, *options)


def document(data: list[str], *options: str, model: str = demo.MODEL) -> dict[str, Any]:
    outcome = perturbed(data, "--json", "-", *options, model=model)
    assert (outcome.code, outcome.err) == (0, "")
    return strict(outcome.out)


def test_the_document(data: list[str]) -> None:
    report = document(data)
    assert (report["schema_version"], report["study"]) == (1, "perturb")
    assert report["verdict"]["text"] and report["verdict"]["thresholds"] == []
    assert kind(report["reference_accuracy"]) == "estimate"
    assert {row["name"]: row["shape"] for row in report["tensors"]}["2.weight"] == [64, 64]
    assert report["provenance"]["settings"]["noise"] == ["0.01", "0.2"]
    assert report["provenance"]["inputs"] == "float32 40x2"


def test_the_sweep(data: list[str]) -> None:
    sweep = document(data)["sweep"]
    places = [(place["scope"], place["noise"]) for place in sweep]
    assert places == [(s, n) for s in ("weights", "all") for n in ("0.01", "0.2")]
    for place in sweep:
        keys = {
            "noise", "scope", "deviation", "accuracy", "attack", "bounds", "relative_frobenius"
        }  # fmt: skip
        assert set(place) == keys
        assert set(place["deviation"]) == {"mean", "rms", "quantiles"}
        assert kind(place["deviation"]["mean"]) == kind(place["deviation"]["rms"]) == "estimate"
        assert place["deviation"]["mean"]["value"] <= place["deviation"]["rms"]["value"]
        check_quantiles(place["deviation"]["quantiles"])
        assert (kind(place["accuracy"]), kind(place["attack"])) == ("estimate", "exact")


def test_the_bounds_of_a_sweep(data: list[str]) -> None:
    for place in document(data)["sweep"]:
        rows = {row["name"]: row for row in place["bounds"]}
        certificates = ["norms_certificate", "ball_certificate", "neuron_certificate"]
        estimates = ["first_order_rms", "first_order_worst"]
        assert list(rows) == [*certificates, *estimates, "deep_relative_trust"]
        for row in rows.values():
            check_bound(row)
        assert rows["deep_relative_trust"]["inputs"] == 40
        for row in (rows[name] for name in certificates):
            assert row["inputs"] == 3
            assert row["value"]["upper"] >= row["measured"]["value"] >= place["attack"]["value"]
        loosest, _, tightest = (rows[name]["value"]["upper"] for name in certificates)
        assert tightest < loosest / 2
        level = float(place["noise"])
        trust = rows["deep_relative_trust"]["value"]["value"]
        assert trust == pytest.approx((1.0 + level) ** 3 - 1.0, rel=1e-12)
        assert rows["first_order_rms"]["measured"] == place["deviation"]["rms"]
        worst, seen = rows["first_order_worst"], rows["ball_certificate"]["measured"]
        assert (worst["inputs"], worst["measured"]) == (3, seen)
        # to first order: at a level of 1% about what the attack finds
        assert level > 0.01 or 0.8 < worst["value"]["value"] / place["attack"]["value"] < 1.2


def test_spectral_adds_a_row_and_a_line(data: list[str]) -> None:
    options = ("--noise", "0.01,0.2,int8", "--spectral")
    plain, sweep = document(data, *options[:2])["sweep"], document(data, *options)["sweep"]
    for place, without in zip(sweep, plain, strict=True):
        *others, row = place["bounds"]
        assert (others, row["name"]) == (without["bounds"], "spectral_trust")
        check_bound(row)
        deep = others[-1]
        assert (row["inputs"], row["measured"]) == (deep["inputs"], deep["measured"])
        # |W|_F is at least |W|_2, and here at most 3 times as much
        low, size = row["value"]["lower"], deep["value"]["value"]
        assert place["noise"] == "int8" or size < low < ((1.0 + 3.0 * float(place["noise"])) ** 3)
    text = perturbed(data, *options).out
    assert "modelled by spectral trust: " in text and not wide_lines(text)
    assert "spectral trust" not in perturbed(data, *options[:2]).out


@pytest.mark.parametrize("scope", ["weights", "all"])
def test_one_scope_is_the_same_part_of_both(data: list[str], scope: str) -> None:
    both = [place for place in document(data)["sweep"] if place["scope"] == scope]
    assert document(data, "--scope", scope)["sweep"] == both


def test_two_runs_differ_in_provenance_alone(data: list[str]) -> None:
    first, second = (perturbed(data, "--json", "-").out for _ in range(2))
    assert without_provenance(first) == without_provenance(second)
    other = perturbed(data, "--json", "-", "--seed", "7").out
    assert without_provenance(first) != without_provenance(other)


def test_batches_change_nothing_but_rounding(data: list[str]) -> None:
    whole, parts = document(data)["sweep"], document(data, "--batch-size", "7")["sweep"]
    for a, b in zip(whole, parts, strict=True):
        mean = b["deviation"]["mean"]["value"]
        assert a["deviation"]["mean"]["value"] == pytest.approx(mean, rel=1e-4)


def test_without_targets_accuracy_is_skipped(data: list[str]) -> None:
    place = document(data[:2], "--noise", "0.1")["sweep"][0]
    assert place["accuracy"] == {"kind": "skipped", "reason": "needs --targets"}


def test_tiny_noise_is_measured_in_float64_before_it_is_believed(data: list[str]) -> None:
    """Float32 inference moves outputs by more than a certificate at these levels allows."""
    sweep = document(data[:2], "--noise", "1e-9,1e-7,1e-5")["sweep"]
    for place in sweep:
        for row in place["bounds"]:
            check_bound(row)
        assert place["bounds"][1]["value"]["upper"] < 1e3 * float(place["noise"])


def test_formats_beside_levels(data: list[str]) -> None:
    sweep = document(data, "--noise", "int8,0.01,int4")["sweep"]
    places = [(place["scope"], place["noise"]) for place in sweep]
    # a format rounds weights alone, so that it has no row where biases move
    assert places == [(s, n) for s in ("weights",) for n in ("int8", "0.01", "int4")] + [
        ("all", "0.01")
    ]
    for place in sweep:
        rows = {row["name"]: row for row in place["bounds"]}
        box = place["noise"].startswith("int")
        names = list(rows)
        assert names[0] == "norms_certificate" and names[2] == "neuron_certificate"
        assert names[1] == ("box_certificate" if box else "ball_certificate")
        certificate = rows["neuron_certificate"]
        assert rows["deep_relative_trust"]["over"] == "ball"
        for row in rows.values():
            check_bound(row)
        assert certificate["value"]["upper"] >= place["attack"]["value"]
        assert place["attack"]["value"] > place["deviation"]["quantiles"]["1.0"] / 2
        trust = rows["deep_relative_trust"]["value"]["value"]
        size = place["relative_frobenius"]["value"]
        assert trust <= ((1.0 + size) ** 3 - 1.0) * (1 + 1e-12)
    sizes = [place["relative_frobenius"]["value"] for place in sweep]
    assert sizes[1] == 0.01 < sizes[0] < sizes[2]


@pytest.mark.parametrize("scope", ["weights", "all", "both"])
def test_a_format_has_one_row_whatever_the_scope(data: list[str], scope: str) -> None:
    (place,) = document(data, "--noise", "int4", "--scope", scope)["sweep"]
    assert (place["noise"], place["scope"]) == ("int4", "weights")
    (alone,) = document(data, "--noise", "int4", "--scope", "weights")["sweep"]
    assert place == alone


def test_text_of_formats(data: list[str]) -> None:
    outcome = perturbed(data, "--noise", "0.001,int8,0.2,int4", "--device", "cpu")
    assert (outcome.code, outcome.err) == (0, "")
    assert wide_lines(outcome.out) == []
    assert golden_problem("perturb-formats.txt", outcome.out) == ""


def test_figures_and_tables_of_formats(data: list[str], tmp_path: Path) -> None:
    targets = {kind: tmp_path / f"out.{kind}" for kind in ("svg", "html", "csv", "md")}
    options = ("--plot", "--html", "--csv", "--markdown")
    given = [x for pair in zip(options, targets.values(), strict=True) for x in pair]
    assert perturbed(data, "--noise", "int8,0.01", *given).code == 0
    texts = {kind: target.read_text() for kind, target in targets.items()}
    assert all("int8" in text for text in texts.values())
    assert "certified: neuron by neuron" in texts["svg"]
    assert "box_certificate" in texts["csv"] and "relative_frobenius" in texts["csv"]
    assert "| weights | int8 |" in texts["md"]


def test_text(data: list[str]) -> None:
    outcome = perturbed(data, "--device", "cpu")
    assert (outcome.code, outcome.err) == (0, "")
    assert wide_lines(outcome.out) == []
    assert golden_problem("perturb.txt", outcome.out) == ""


def test_an_operator_without_a_rule_is_named(data: list[str]) -> None:
    outcome = perturbed(data, model="tests.cli.models:softmax")
    assert outcome.code == 0
    assert wide_lines(outcome.out) == []
    words = " ".join(outcome.out.split())
    assert "certified skipped: operator 5 (Softmax) has no rule" in words
    for place in document(data, model="tests.cli.models:softmax")["sweep"]:
        assert place["bounds"][0]["value"]["reason"] == "operator 5 (Softmax) has no rule"


def test_no_inputs_to_certify(data: list[str]) -> None:
    sweep = document(data, "--certify", "0")["sweep"]
    assert all(place["bounds"][0]["value"]["kind"] == "skipped" for place in sweep)


@pytest.mark.parametrize(
    ("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_figures(data: list[str], tmp_path: Path, suffix: str, magic: bytes) -> None:
    targets = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for target in targets:
        outcome = perturbed(data, "--scope", "weights", "--certify", "1", "--plot", target)
        assert outcome.code == 0 and outcome.out.endswith(f"figure: {target}\n")
    first, second = (target.read_bytes() for target in targets)
    assert first.startswith(magic) and len(first) > 5000
    assert first == second


def test_half_of_a_certificate_stops_the_run(
    data: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = Interval(0.0, 1.25e-4)
    false = Certified("ball", (Rung("planted", planted, "none"),), Interval(0.0, 1.0))
    monkeypatch.setattr(Certifier, "certify", lambda self, change: false)
    outcome = perturbed(data)
    assert error_problem(outcome, 70, "planted", "certified at most 0.000125") == ""
    measured = outcome.err.split("measured ")[1].split(":")[0]
    assert float(measured) > planted.upper


@pytest.mark.parametrize(
    "noise", ["", "x", "0", "-0.1", "nan", "inf", "0.1,,0.2", "0.1,x", "1e999"]
)
def test_noise_that_is_no_level(data: list[str], noise: str) -> None:
    allowed = "from 1e-10 to 10000", "int8, int4"
    assert error_problem(perturbed(data, "--noise", noise), 2, "--noise", *allowed) == ""


def test_what_perturb_needs(data: list[str], tmp_path: Path) -> None:
    assert error_problem(invoke("perturb", demo.TRAINED, *data), 2, "--model") == ""
    alone = invoke("perturb", demo.TRAINED, "--model", demo.MODEL)
    assert error_problem(alone, 2, "--inputs") == ""
    assert error_problem(perturbed(data, "--device", "tpu"), 2, "--device") == ""
    assert error_problem(perturbed(data, "--draws", "0"), 2, "--draws") == ""


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("tests.cli.models:narrow", ("spiral.safetensors", "'0.weight'", "(64, 2)", "(32, 2)")),
        ("tests.cli.models:shallow", ("spiral.safetensors", "unexpected '4.bias'")),
        ("tests.cli.models:absent", ("tests.cli.models", "'absent'")),
        ("no_such_package:build", ("no_such_package",)),
        ("/no/such/file.py:build", ("/no/such/file.py", "no such file")),
    ],
)
def test_models_that_do_not_fit(data: list[str], model: str, words: tuple[str, ...]) -> None:
    assert error_problem(perturbed(data, model=model), 3, *words) == ""


def test_inputs_that_do_not_fit(data: list[str], tmp_path: Path) -> None:
    np.save(tmp_path / "wide.npy", np.zeros((5, 7), dtype=np.float32))
    np.save(tmp_path / "three.npy", np.array([0, 1, 2]))
    wide = perturbed(["--inputs", f"{tmp_path}/wide.npy"])
    assert error_problem(wide, 3, "cannot run on float32 inputs of shape (5, 7)") == ""
    labels = perturbed([*data[:2], "--targets", f"{tmp_path}/three.npy"])
    assert error_problem(labels, 3, "three.npy", "3 labels, expected 40") == ""
    assert error_problem(perturbed(["--inputs", f"{tmp_path}/no.npy"]), 3, "no such file") == ""


def test_layers_without_a_weight_are_no_row_of_zeros(data: list[str]) -> None:
    outcome = perturbed(data, "--layers", "*.bias", "--scope", "weights")
    assert error_problem(outcome, 2, "--layers *.bias", "two or more axes", "--scope all") == ""
    sweep = document(data, "--layers", "*.bias")["sweep"]
    assert {place["scope"] for place in sweep} == {"all"}
    text = perturbed(data, "--layers", "*.bias").out
    assert "noise on all parameters of *.bias:" in text


def test_one_level_makes_a_figure_of_signs(data: list[str], tmp_path: Path) -> None:
    outcome = perturbed(data, "--noise", "0.01", "--plot", tmp_path / "one.svg")
    assert outcome.code == 0
    svg = (tmp_path / "one.svg").read_text()
    assert "worst found, 3 inputs" in svg and "10$^{-300}" not in svg


def test_nothing_to_attack_is_said(data: list[str]) -> None:
    text = " ".join(perturbed(data, "--certify", "0").out.split())
    assert "worst found skipped: no inputs to attack; give --certify 1 or more" in text
