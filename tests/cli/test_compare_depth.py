"""`netdistance compare`: the metrics that are asked for, ties, and what a row of the table is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tests.cli.invoke import invoke
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


def test_nothing_moved_shows_no_table(folder: Path) -> None:
    outcome = compared(folder, b=weights())
    assert "every compared tensor is identical" in " ".join(outcome.out.split())
    assert "moved most" not in outcome.out and "next:" not in outcome.out
