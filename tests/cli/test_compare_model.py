"""`netdistance compare --model` on the demo's files: the JSON contract, the text and errors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from netdistance import demo
from netdistance.bounds.certificates import Certified, Certifier, Rung
from netdistance.quantities import Interval
from tests.cli.contract import check_bound, check_quantiles, kind, strict, without_provenance
from tests.cli.golden import golden_problem, wide_lines
from tests.cli.invoke import Outcome, error_problem, invoke

MEASURES = [
    "relative_output_deviation", "top1_agreement", "kl_divergence", "logit_margin_a",
    "logit_margin_b",
]  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    """Options that name forty of the demo's points and their labels."""
    np.save(tmp_path / "points.npy", np.load(demo.POINTS)[::25])
    np.save(tmp_path / "labels.npy", np.load(demo.LABELS)[::25])
    return ["--inputs", f"{tmp_path}/points.npy", "--targets", f"{tmp_path}/labels.npy"]


def compared(
    data: list[str],
    *options: str | os.PathLike[str],
    model: str = demo.MODEL,
    b: Path = demo.ROUNDED,
) -> Outcome:
    return invoke(
        "compare", demo.TRAINED, b, "--model", model, *data, "--certify", "3", *options
    )  # fmt: skip


def document(data: list[str], *options: str, **changes: Any) -> dict[str, Any]:
    outcome = compared(data, "--json", "-", *options, **changes)
    assert (outcome.code, outcome.err) == (0, "")
    return strict(outcome.out)


def edited(folder: Path, name: str, change: float) -> Path:
    """The demo's network with `change` added to the first element of a tensor."""
    weights = load_file(demo.TRAINED)
    weights[name].flat[0] += np.float32(change)
    path = folder / "edited.safetensors"
    save_file(weights, path)
    return path


def test_deviations(data: list[str]) -> None:
    rows = {row["measure"]: row for row in document(data)["deviation"]}
    assert list(rows) == [
        *MEASURES, "accuracy_a", "accuracy_b", "loss_a", "loss_b", "rank_correlation",
    ]  # fmt: skip
    worst = ("relative_output_deviation", "kl_divergence")
    for name, row in rows.items():
        assert set(row) - {"worst_input"} == {"measure", "value", "quantiles"}
        assert kind(row["value"]) == ("exact" if name == "rank_correlation" else "estimate")
        assert (row.get("worst_input") is not None) == (name in worst)
    for name in worst:
        check_quantiles(rows[name]["quantiles"])
        assert 0 <= rows[name]["worst_input"] < 40
    assert rows["accuracy_a"]["value"]["value"] > 0.9


def test_without_targets_there_is_no_accuracy(data: list[str]) -> None:
    measures = [row["measure"] for row in document(data[:2])["deviation"]]
    assert measures == [*MEASURES, "rank_correlation"]


def test_layers_and_attribution(data: list[str]) -> None:
    report = document(data)
    assert [row["name"] for row in report["layers"]] == ["0", "2", "4"]
    for row in report["layers"]:
        assert set(row) == {"name", "relative_activation", "injected"}
        assert kind(row["relative_activation"]) == kind(row["injected"]) == "estimate"
    first, last = report["layers"][0], report["layers"][-1]
    assert first["relative_activation"] == first["injected"]
    assert last["relative_activation"] == report["deviation"][0]["value"]
    for row in report["attribution"]:
        assert set(row) == {"layer", "scheme", "value", "inputs"}
        assert row["inputs"] == 40
    values = {
        scheme: [r["value"]["value"] for r in report["attribution"] if r["scheme"] == scheme]
        for scheme in ("telescoping", "swap_in", "swap_out")
    }
    assert sum(values["telescoping"]) == pytest.approx(last["relative_activation"]["value"])
    assert values["telescoping"][0] == values["swap_in"][0]
    assert values["telescoping"][-1] == values["swap_out"][-1]


def test_a_layer_that_stayed_is_exactly_nothing(data: list[str], tmp_path: Path) -> None:
    report = document(data, b=edited(tmp_path, "2.weight", 0.5))
    total = report["deviation"][0]["value"]
    for row in report["attribution"]:
        moved = row["layer"] == "2"
        assert row["value"] == (total if moved else {"kind": "exact", "value": 0.0})
    zero = {"kind": "estimate", "value": 0.0, "stderr": 0.0}
    assert [row["injected"] == zero for row in report["layers"]] == [True, False, True]


def test_the_path_and_its_bounds(data: list[str]) -> None:
    report = document(data)
    places = report["path"]
    assert [place["t"] for place in places] == [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    for place in places:
        assert set(place) == {"t", "deviation", "bounds"}
        assert kind(place["deviation"]) == "estimate"
        names = [row["name"] for row in place["bounds"]]
        certificates = ["norms_certificate", "known_change_certificate", "neuron_certificate"]
        assert names == ["deep_relative_trust", *certificates]
        for row in place["bounds"]:
            check_bound(row)
        assert [row["inputs"] for row in place["bounds"]] == [40, 3, 3, 3]
    assert report["bounds"] == places[-1]["bounds"]
    measured = report["deviation"][0]
    assert measured["value"] == places[-1]["deviation"]
    assert measured["quantiles"]["1.0"] == report["bounds"][0]["measured"]["value"]


def test_weights_are_reported_as_without_a_model(data: list[str]) -> None:
    alone = strict(invoke("compare", demo.TRAINED, demo.ROUNDED, "--json", "-").out)
    report = document(data)
    assert report["tensors"] == alone["tensors"]
    assert report["pairing"] == alone["pairing"]
    (trust,) = (row for row in alone["bounds"] if row["name"] == "deep_relative_trust")
    assert report["bounds"][0]["value"]["value"] == pytest.approx(
        trust["value"]["value"], rel=1e-12
    )


def test_two_runs_differ_in_provenance_alone(data: list[str]) -> None:
    first, second = (compared(data, "--json", "-").out for _ in range(2))
    assert without_provenance(first) == without_provenance(second)


def test_a_network_and_itself(data: list[str]) -> None:
    report = document(data, b=demo.TRAINED)
    for place in report["path"]:
        assert place["deviation"] == {"kind": "estimate", "value": 0.0, "stderr": 0.0}
        assert [row["value"].get("upper", 0.0) for row in place["bounds"]] == [0.0] * 4
    zero = {"kind": "estimate", "value": 0.0, "stderr": 0.0}
    assert all(row["relative_activation"] == row["injected"] == zero for row in report["layers"])
    assert all(row["value"] == {"kind": "exact", "value": 0.0} for row in report["attribution"])
    rows = {row["measure"]: row for row in report["deviation"]}
    assert rows["kl_divergence"]["value"] == zero
    assert rows["rank_correlation"]["value"]["kind"] == "skipped"


@pytest.mark.parametrize("name", ["4.bias", "4.weight", "0.bias", "2.weight"])
@pytest.mark.parametrize("change", [1e-8, 1e-6, 1e-4, 0.5])
def test_the_smallest_changes_are_certified(
    data: list[str], tmp_path: Path, name: str, change: float
) -> None:
    """A change of one element: the last layer's certificate is then the deviation itself."""
    for place in document(data, b=edited(tmp_path, name, change))["path"]:
        for row in place["bounds"]:
            check_bound(row)


def test_non_finite_weights_are_compared_and_not_certified(data: list[str], tmp_path: Path) -> None:
    report = document(data, b=edited(tmp_path, "2.weight", float("nan")))
    assert report["bounds"][1]["value"]["kind"] == "skipped"
    assert report["pairing"]["non_finite"][0]["name"] == "2.weight"


def test_text(data: list[str]) -> None:
    outcome = compared(data, "--device", "cpu")
    assert (outcome.code, outcome.err) == (0, "")
    assert wide_lines(outcome.out) == []
    assert golden_problem("compare_model.txt", outcome.out) == ""


def test_an_operator_without_a_rule_is_named(data: list[str]) -> None:
    outcome = compared(data, model="tests.cli.models:softmax")
    assert outcome.code == 0
    assert wide_lines(outcome.out) == []
    skipped = "certificate, neuron certificate skipped: operator 5 (Softmax) has no rule"
    assert skipped in " ".join(outcome.out.split())
    row = document(data, model="tests.cli.models:softmax")["bounds"][1]
    assert row["value"] == {"kind": "skipped", "reason": "operator 5 (Softmax) has no rule"}


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_figures(data: list[str], tmp_path: Path, suffix: str) -> None:
    targets = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for target in targets:
        assert compared(data, "--plot", target).code == 0
    first, second = (target.read_bytes() for target in targets)
    assert len(first) > 5000
    assert first == second


def test_half_of_a_certificate_stops_the_run(
    data: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = Interval(0.0, 1.25e-4)
    false = Certified("known", (Rung("planted", planted, "none"),), Interval(0.0, 1.0))
    monkeypatch.setattr(Certifier, "known", lambda self, changed, t: false)
    outcome = compared(data)
    what = ("planted", "certified at most 0.000125")
    assert error_problem(outcome, 70, *what) == ""
    assert float(outcome.err.split("measured ")[1].split(":")[0]) > planted.upper


def test_model_and_inputs_go_together(data: list[str]) -> None:
    files = (demo.TRAINED, demo.ROUNDED)
    assert error_problem(invoke("compare", *files, "--model", demo.MODEL), 2, "--inputs") == ""
    assert error_problem(invoke("compare", *files, *data), 2, "--model") == ""


def test_models_that_do_not_fit(data: list[str], tmp_path: Path) -> None:
    narrow = compared(data, model="tests.cli.models:narrow")
    assert error_problem(narrow, 3, "spiral.safetensors", "tensor '0.weight'", "(32, 2)") == ""
    weights = load_file(demo.TRAINED)
    weights["more"] = np.zeros(3, dtype=np.float32)
    save_file(weights, tmp_path / "more.safetensors")
    more = compared(data, b=tmp_path / "more.safetensors")
    assert error_problem(more, 3, "more.safetensors", "unexpected 'more'") == ""
