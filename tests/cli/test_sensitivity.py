"""`netdistance sensitivity`: the JSON contract, the text, the figure and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netdistance import demo
from netdistance.linalg import weight_norm
from netdistance.quantities import Interval
from tests.cli.contract import kind, strict, without_provenance
from tests.cli.golden import golden_problem, wide_lines
from tests.cli.invoke import error_problem, invoke
from tests.formats.written import safetensors


@pytest.fixture
def convolutional(tmp_path: Path) -> Path:
    """Weights with a kernel, a zero, a NaN and many layers."""
    rng = np.random.default_rng(5)
    arrays = {f"block.{i}.conv.weight": rng.standard_normal((3, 2, 3, 3)) for i in range(14)}
    broken = rng.standard_normal((4, 4))
    broken[0, 0] = np.nan
    arrays |= {"head.weight": rng.standard_normal((5, 4)), "broken.weight": broken}
    path = tmp_path / "conv.safetensors"
    path.write_bytes(safetensors({name: x.astype(np.float32) for name, x in arrays.items()}))
    return path


def document(path: Path) -> dict[str, Any]:
    outcome = invoke("sensitivity", path, "--json", "-")
    assert (outcome.code, outcome.err) == (0, "")
    return strict(outcome.out)


def test_the_document(convolutional: Path) -> None:
    report = document(convolutional)
    assert (report["schema_version"], report["study"]) == (1, "sensitivity")
    assert set(report) == {
        "schema_version", "study", "provenance", "verdict", "pairing", "tensors", "bounds",
        "sensitivity",
    }  # fmt: skip
    assert report["pairing"] is None
    assert set(report["sensitivity"]) == {"log10_product", "layers"}
    assert kind(report["sensitivity"]["log10_product"]) == "interval"
    layers = report["sensitivity"]["layers"]
    assert len(layers) == 16
    for layer in layers:
        assert set(layer) == {"name", "spectral_norm", "stable_rank"}
        expected = "skipped" if layer["name"] == "broken.weight" else "interval"
        assert kind(layer["spectral_norm"]) == kind(layer["stable_rank"]) == expected


def test_the_product_is_labelled_as_a_model(convolutional: Path) -> None:
    (row,) = document(convolutional)["bounds"]
    assert (row["name"], row["standing"]) == ("spectral_product", "modelled")
    assert "not a bound" in row["assumptions"][0]
    text = invoke("sensitivity", convolutional).out
    assert "modelled: product over 15 weights" in text


def test_two_runs_differ_in_provenance_alone(convolutional: Path) -> None:
    first, second = (invoke("sensitivity", convolutional, "--json", "-").out for _ in range(2))
    assert without_provenance(first) == without_provenance(second)


def test_text() -> None:
    outcome = invoke("sensitivity", demo.TRAINED)
    assert (outcome.code, outcome.err) == (0, "")
    assert wide_lines(outcome.out) == []
    assert golden_problem("sensitivity.txt", outcome.out) == ""


def test_the_table_is_cut_and_all_shows_every_weight(convolutional: Path) -> None:
    short = invoke("sensitivity", convolutional).out
    full = invoke("sensitivity", convolutional, "--all").out
    assert wide_lines(short) == wide_lines(full) == []
    assert short.count("conv.weight  ") < 14 and "(--all: 16 weights)" in short
    assert full.count("conv.weight  ") == 14 and "--all" not in full
    assert "skipped broken.weight: non-finite elements: 1" in short
    assert "14 weights are kernels" in short


def test_a_confidence_below_one_is_said(
    convolutional: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_norm, "spectral_norm", lambda w: Interval(1.0, 1.5, 0.875))
    assert "hold with probability 0.87" in invoke("sensitivity", convolutional).out


def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "hostile.safetensors"
    names = ("a\x1b[31mred", "b\nc", "h" * 3000, "", "[bold]x[/bold]")
    path.write_bytes(safetensors({name: np.eye(2, dtype=np.float32) for name in names}))
    outcome = invoke("sensitivity", path, "--all", "--plot", tmp_path / "f.svg")
    assert outcome.code == 0 and wide_lines(outcome.out.replace(str(tmp_path), "")) == []
    assert "\x1b" not in outcome.out and "[bold]x[/bold]" in outcome.out


@pytest.mark.parametrize(
    ("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_figures(convolutional: Path, tmp_path: Path, suffix: str, magic: bytes) -> None:
    targets = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for target in targets:
        outcome = invoke("sensitivity", convolutional, "--plot", target)
        assert outcome.code == 0 and outcome.out.endswith(f"figure: {target}\n")
    first, second = (target.read_bytes() for target in targets)
    assert first.startswith(magic) and len(first) > 5000
    assert first == second


def test_quiet(convolutional: Path) -> None:
    outcome = invoke("sensitivity", convolutional, "--quiet")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_what_cannot_be_measured(tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.safetensors"
    vectors.write_bytes(safetensors({"b": np.ones(3, dtype=np.float32)}))
    assert error_problem(invoke("sensitivity", vectors), 4, "vectors.safetensors", "weight") == ""
    missing = invoke("sensitivity", tmp_path / "no.pth")
    assert error_problem(missing, 3, "no.pth", "no such file") == ""
    over = invoke("sensitivity", vectors, "--json", vectors)
    assert error_problem(over, 2, "also an input") == ""


def test_only_zeros(tmp_path: Path) -> None:
    path = tmp_path / "zero.safetensors"
    path.write_bytes(safetensors({"w": np.zeros((2, 2), dtype=np.float32)}))
    outcome = invoke("sensitivity", path, "--plot", tmp_path / "zero.png")
    assert outcome.code == 0 and "no logarithm" in outcome.out
