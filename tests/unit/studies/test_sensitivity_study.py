"""The sensitivity study: which tensors are weights, their norms, the product, what is missing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from netdistance.errors import NothingComparableError
from netdistance.progress import Advance
from netdistance.quantities import Interval, Skipped
from netdistance.report.document import BoundRow, Report
from netdistance.studies.sensitivity import SensitivityOptions, sensitivity
from tests.formats.written import raw_tensors, safetensors


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def study(tmp_path: Path, arrays: dict[str, np.ndarray], **options: int) -> Report:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(safetensors(arrays))
    return sensitivity(path, SensitivityOptions(**options))


def norms(report: Report) -> dict[str, object]:
    assert report.sensitivity is not None
    return {layer.name: layer.spectral_norm for layer in report.sensitivity.layers}


def row(report: Report) -> BoundRow:
    (only,) = report.bounds
    return only


def product(report: Report) -> object:
    assert report.sensitivity is not None
    return report.sensitivity.log10_product


def test_norms_ranks_and_product_against_every_singular_value(tmp_path: Path) -> None:
    arrays = {f"{index}.weight": draw(8, 5 + index, seed=index) for index in (0, 1, 10, 2)}
    report = study(tmp_path, arrays)
    assert list(norms(report)) == ["0.weight", "1.weight", "2.weight", "10.weight"]
    assert report.sensitivity is not None
    expected = 0.0
    for layer in report.sensitivity.layers:
        values = np.linalg.svd(arrays[layer.name].astype(np.float64), compute_uv=False)
        assert isinstance(layer.spectral_norm, Interval)
        assert isinstance(layer.stable_rank, Interval)
        slack = values[0] * 1e-12
        assert layer.spectral_norm.lower - slack <= values[0] <= layer.spectral_norm.upper + slack
        rank = (values**2).sum() / values[0] ** 2
        assert layer.stable_rank.lower <= rank * (1 + 1e-12)
        assert rank <= layer.stable_rank.upper * (1 + 1e-12)
        expected += math.log10(values[0])
    found = product(report)
    assert isinstance(found, Interval)
    assert found.lower - 1e-12 <= expected <= found.upper + 1e-12
    assert found.upper - found.lower < 1e-5


def test_the_row_is_a_model_and_says_so(tmp_path: Path) -> None:
    report = study(tmp_path, {"w": draw(4, 4), "b": draw(4)})
    only = row(report)
    assert (only.name, only.standing, only.over) == ("spectral_product", "modelled", "known")
    assert "not a bound" in only.assumptions[0]
    assert only.log10 == product(report)
    assert isinstance(only.value, Skipped) and "no deviation" in only.value.reason


def test_vectors_and_integers_are_no_weights(tmp_path: Path) -> None:
    arrays = {"w": draw(3, 3), "b": draw(3), "ids": np.ones((3, 3), dtype=np.int64)}
    report = study(tmp_path, arrays)
    assert list(norms(report)) == [tensor.name for tensor in report.tensors] == ["w"]


def test_a_file_without_weights(tmp_path: Path) -> None:
    with pytest.raises(NothingComparableError, match="two or more axes"):
        study(tmp_path, {"b": draw(3)})


def test_non_finite_and_large_weights_are_rows_with_a_reason(tmp_path: Path) -> None:
    broken = draw(3, 3)
    broken[1, 1] = np.nan
    arrays = {"good": draw(3, 3), "broken": broken, "large": draw(5, 5)}
    report = study(tmp_path, arrays, most_elements=20)
    found = norms(report)
    assert found["broken"] == Skipped("non-finite elements: 1")
    assert isinstance(found["large"], Skipped) and "25 elements" in found["large"].reason
    alone = study(tmp_path, {"good": arrays["good"]})
    assert product(report) == product(alone)
    assert "partial, without: broken, large" in row(report).assumptions
    assert "Without a norm: broken, large" in report.verdict.text


def test_an_encoding_without_a_decoder_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "six.safetensors"
    floats = np.ones(4, np.float32).tobytes()
    path.write_bytes(raw_tensors(w=("F32", [2, 2], floats), six=("F6_E2M3", [2, 2], b"abc")))
    found = norms(sensitivity(path))
    assert isinstance(found["six"], Skipped) and isinstance(found["w"], Interval)


def test_nothing_but_broken_weights(tmp_path: Path) -> None:
    report = study(tmp_path, {"w": np.full((2, 2), np.inf, dtype=np.float32)})
    assert product(report) == row(report).log10 == Skipped("no weight has a norm")


def test_a_zero_weight_has_norm_zero_and_no_logarithm(tmp_path: Path) -> None:
    report = study(tmp_path, {"w": draw(3, 3), "zero": np.zeros((3, 3), dtype=np.float32)})
    assert norms(report)["zero"] == Interval(0.0, 0.0)
    found = product(report)
    assert isinstance(found, Skipped) and "zero" in found.reason
    assert "zero" in report.verdict.text


def test_a_product_beyond_float64_keeps_its_logarithm(tmp_path: Path) -> None:
    report = study(tmp_path, {f"{i}": 1e38 * np.eye(2, dtype=np.float32) for i in range(9)})
    found = product(report)
    assert isinstance(found, Interval) and found.lower == pytest.approx(342.0, abs=1e-4)


def test_progress_counts_every_element(tmp_path: Path) -> None:
    class Counter:
        def __init__(self) -> None:
            self.total = self.done = 0

        def task(self, description: str, total: int) -> Counter:
            self.total = total
            return self

        def __enter__(self) -> Advance:
            return self.add

        def __exit__(self, *error: object) -> None:
            return None

        def add(self, count: int) -> None:
            self.done += count

    counter, path = Counter(), tmp_path / "w.safetensors"
    path.write_bytes(safetensors({"a": draw(3, 4), "b": draw(2, 2, 3)}))
    sensitivity(path, progress=counter)
    assert counter.done == counter.total == 24
