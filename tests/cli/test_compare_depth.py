"""`netdistance compare`: the metrics that are asked for, ties, and what a row of the table is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from netdistance import CompareOptions, Exact, compare
from netdistance.errors import UsageError
from tests.cli.invoke import error_problem, invoke
from tests.cli.test_compare import compared, folder, weights

__all__ = ["folder"]


def metrics_of(folder: Path, *options: str) -> dict[str, dict[str, dict[str, object]]]:
    outcome = compared(folder, *options, "--json", "-")
    assert (outcome.code, outcome.err) == (0, "")
    return {row["name"]: row["metrics"] for row in json.loads(outcome.out)["tensors"]}


def test_spectral_metrics_are_skipped_unless_asked_for(folder: Path) -> None:
    skipped = {"kind": "skipped", "reason": "needs --spectral"}
    assert metrics_of(folder)["0.weight"]["relative_spectral"] == skipped
    found = metrics_of(folder, "--spectral")
    change = found["0.weight"]["relative_spectral"]
    assert change["lower"] <= 0.125 <= change["upper"] <= 0.12501
    largest = np.linalg.svd(weights()["0.weight"].astype(np.float64), compute_uv=False)
    rank = found["0.weight"]["stable_rank_a"]
    assert rank["lower"] <= np.sum(largest**2) / largest[0] ** 2 <= rank["upper"]
    assert found["0.bias"]["relative_spectral"]["kind"] == "skipped"


def test_spectral_trust_stands_beside_deep_relative_trust(folder: Path) -> None:
    document = json.loads(compared(folder, "--spectral", "--json", "-").out)
    deep, spectral = document["bounds"]
    assert (deep["name"], spectral["name"]) == ("deep_relative_trust", "spectral_trust")
    assert spectral["standing"] == "modelled" and spectral["value"]["kind"] == "interval"
    assert spectral["value"]["lower"] <= 1.125**2 - 1 <= spectral["value"]["upper"]
    text = compared(folder, "--spectral").out
    assert "spectral trust" in text and "a model too" in text and "12.5%" in text
    assert "spectral" not in compared(folder).out
    assert compared(folder, "--spectral", "--fail-if", "spectral_trust>0.2").code == 1
    assert compared(folder, "--spectral", "--fail-if", "spectral_trust>0.3").code == 0


def test_all_metrics_adds_signs_zeros_and_the_largest(folder: Path) -> None:
    changed = weights()
    changed["0.weight"][0] *= -1
    changed["0.weight"][1] = 0
    save_file(changed, folder / "b.safetensors")
    assert "sign_flips" not in metrics_of(folder)["0.weight"]
    found = {n: q.get("value") for n, q in metrics_of(folder, "--all-metrics")["0.weight"].items()}
    assert found["sign_flips"] == found["sparsity_b"] == pytest.approx(1 / 6)
    assert found["sparsity_a"] == 0
    first = weights()["0.weight"].astype(np.float64)
    moved = np.abs(first - changed["0.weight"]).max() / np.abs(first).max()
    assert found["relative_max"] == pytest.approx(moved, rel=1e-12)
    assert "sign flips" in compared(folder, "--all-metrics").out


def test_rows_are_layers_tensors_or_blocks(tmp_path: Path) -> None:
    names = [f"layers.{i}.{part}.{kind}" for i in range(10) for part in ("up", "down")
             for kind in ("weight", "bias")]  # fmt: skip
    a = {name: np.ones((2, 2), np.float32) for name in names}
    b = {name: np.full((2, 2), 1.5 + place, np.float32) for place, name in enumerate(names)}
    layers, tensors, blocks = (
        [line.split()[0] for line in compared(tmp_path, *more, a=a, b=b).out.splitlines()
         if line.startswith("layers.")]
        for more in ((), ("--tensors",), ("--blocks",))
    )  # fmt: skip
    assert len(layers) == 12 and layers[0] == "layers.9.down"
    assert tensors == names[::-1]
    assert blocks == [f"layers.{place}" for place in reversed(range(10))]


def test_a_tied_tensor_counts_once(tmp_path: Path) -> None:
    embed = torch.ones(4, 3)
    torch.save({"embed.weight": embed, "head.weight": embed}, tmp_path / "a.pt")
    moved = 1.5 * embed
    torch.save({"embed.weight": moved, "head.weight": moved}, tmp_path / "b.pt")
    outcome = invoke("compare", tmp_path / "a.pt", tmp_path / "b.pt", "--json", "-")
    document = json.loads(outcome.out)
    assert document["bounds"][0]["value"]["value"] == pytest.approx(0.5)
    head = next(row for row in document["tensors"] if row["name"] == "head.weight")
    assert head["tied_to"] == "embed.weight"
    assert head["metrics"]["relative_frobenius"]["value"] == pytest.approx(0.5)
    text = invoke("compare", tmp_path / "a.pt", tmp_path / "b.pt").out
    assert "(12 parameters)" in text
    norms = json.loads(invoke("sensitivity", tmp_path / "a.pt", "--json", "-").out)
    assert len(norms["sensitivity"]["layers"]) == 2
    assert norms["sensitivity"]["log10_product"]["upper"] == pytest.approx(np.log10(12) / 2)


def test_every_element_counts_once(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    fused, own = (torch.randn(n, 4, generator=generator) for n in (12, 5))
    for side, change in (("a.pt", 0.0), ("b.pt", 0.25)):
        qkv = fused + change * torch.randn(12, 4, generator=generator)
        q, k, v = qkv.chunk(3)
        state = {"q": q, "k": k, "v": v, "w.qkv": qkv, "w.turned": qkv.T, "own": own + change}
        torch.save(state, tmp_path / side)
        alone = {"w.qkv": qkv.clone(), "own": state["own"]}
        torch.save(alone, tmp_path / f"alone.{side}")
    trust, *others = (
        json.loads(
            invoke("compare", tmp_path / f"{n}a.pt", tmp_path / f"{n}b.pt", "--json", "-").out
        )
        for n in ("", "alone.")
    )
    assert trust["bounds"][0]["value"] == others[0]["bounds"][0]["value"]
    holders = {row["name"]: row.get("tied_to") for row in trust["tensors"]}
    assert holders == {
        **dict.fromkeys(["k", "q", "v", "w.turned"], "w.qkv"),
        "own": None,
        "w.qkv": None,
    }
    own = {row["name"]: row["metrics"]["relative_frobenius"]["value"] for row in trust["tensors"]}
    assert len({own[name] for name in "qkv"}) == 3, "each has its own distance"
    norms = [
        json.loads(invoke("sensitivity", tmp_path / f"{n}a.pt", "--json", "-").out)
        for n in ("", "alone.")
    ]
    assert norms[0]["sensitivity"]["log10_product"] == norms[1]["sensitivity"]["log10_product"]
    assert "(68 parameters)" in invoke("compare", tmp_path / "a.pt", tmp_path / "b.pt").out


W = np.random.default_rng(0).standard_normal((4, 4))
ROW = 2.0 * W
ROW[0] = W[0]


@pytest.mark.parametrize(
    ("a", "b", "weights"),
    [
        ({"w": W, "wt": W.T}, {"w": W.copy(), "wt": W.copy()}, 2),
        ({"w": W, "wt": W[::-1]}, {"w": (copy := W.copy()), "wt": copy}, 2),
        ({"w": W, "top": W[:2], "end": W[2:]},
         {"w": (other := W.copy()), "top": other[2:], "end": other[:2]}, 3),
        ({"a": np.broadcast_to(W[0], (4, 4)), "w": W},
         {"a": np.broadcast_to(ROW[0], (4, 4)), "w": ROW}, 1),
        ({"w": W, "wt": W.T}, {"w": (d := 2 * W), "wt": d.T}, 1),
    ],
    ids=["turned", "reversed", "swapped", "repeated", "kept"],
)  # fmt: skip
def test_a_change_never_hides_in_a_tie(
    a: dict[str, np.ndarray], b: dict[str, np.ndarray], weights: int
) -> None:
    report = compare(a, b)
    trust = report.bounds[0]
    assert any(f"product over {weights} weight" in text for text in trust.assumptions)
    by_name = {row.name: row.metrics["relative_frobenius"].value for row in report.tensors}
    counted = [row.name for row in report.tensors if row.tied_to is None]
    assert trust.value.value == pytest.approx(np.prod([1 + by_name[n] for n in counted]) - 1)
    assert trust.value.value > 0.5, "something moved"


def test_a_tie_stays_where_its_holder_is_left_out() -> None:
    qkv = np.random.default_rng(0).standard_normal((8, 4))
    sides = ({"qkv": x, "q": x[:4], "q2": x[:4]} for x in (qkv, 2.0 * qkv))
    report = compare(*sides, CompareOptions(skip=("qkv",)))
    assert report.bounds[0].value.value == pytest.approx(1.0)


def test_nothing_moved_shows_no_table(folder: Path) -> None:
    outcome = compared(folder, b=weights())
    assert "every compared tensor is identical" in " ".join(outcome.out.split())
    assert "moved most" not in outcome.out and "next:" not in outcome.out


@pytest.mark.parametrize("complex_side", ["a", "b"])
def test_complex_against_real_has_every_metric(tmp_path: Path, complex_side: str) -> None:
    pair = {"a": np.ones((4, 4), np.float32), "b": np.full((4, 4), -2, np.float32)}
    pair[complex_side] = pair[complex_side] * np.complex64(1 + 1j)
    found = compare({"w": pair["a"]}, {"w": pair["b"]}, CompareOptions(all_metrics=True))
    # of 32 real numbers, 16 flip, and the imaginary parts of one side are all 0
    assert found.tensors[0].metrics["sign_flips"] == Exact(0.5)


def test_a_folder_is_called_by_its_name(tmp_path: Path) -> None:
    for name, step in (("base-1.5", 0.0), ("tuned-1.5", 0.125)):
        (tmp_path / name).mkdir()
        save_file(weights(step=step), tmp_path / name / "model.safetensors")
    folders = [tmp_path / "base-1.5", tmp_path / "tuned-1.5"]
    files = [place / "model.safetensors" for place in folders]
    assert "tuned-1.5 differs from base-1.5" in invoke("compare", *folders).out
    text = " ".join(invoke("compare", *files).out.split())
    assert "tuned-1.5/model.safetensors differs from base-1.5/model.safetensors" in text


def test_names_that_globs_leave_out_are_said(folder: Path) -> None:
    outcome = compared(folder, "--only", "nothing")
    assert error_problem(outcome, 4, "leave none of its 3 tensors", "'0.bias'") == ""


@pytest.mark.parametrize(
    ("expression", "flag"),
    [("sign_flips>0.5", "--all-metrics"), ("spectral_trust>1", "--spectral")],
)
def test_a_threshold_on_what_was_not_asked_for_is_2(
    folder: Path, expression: str, flag: str
) -> None:
    outcome = compared(folder, "--fail-if", expression)
    assert error_problem(outcome, 2, f"needs {flag}") == ""
    assert compared(folder, "--fail-if", expression, flag).code in (0, 1)


@pytest.mark.parametrize("name", ["only", "skip", "rename", "fail_if"])
def test_one_string_for_several_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        CompareOptions(**{name: "*.weight"})  # type: ignore[arg-type]


def test_no_thread_is_refused() -> None:
    with pytest.raises(UsageError, match="threads is 0"):
        CompareOptions(threads=0)
