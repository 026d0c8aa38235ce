"""The labels that name grids, and the numbers that plain types can hold."""

from __future__ import annotations

import numpy as np
import pytest

from netdistance.distances.containers import PLAIN, grid_of


@pytest.mark.parametrize(
    ("label", "name", "group", "calibrated"),
    [
        ("gptq 4-bit, groups of 128, act-order", "int4", 128, True),
        ("awq 4-bit, groups of 64", "int4", 64, True),
        ("pack-quantized int4, groups of 32, zero points, act-order", "int4", 32, True),
        ("bitsandbytes nf4, blocks of 64, nested", "nf4", 64, False),
        ("bitsandbytes int8, a scale per row", "int8", None, False),
        ("Q4_0", "int4", 32, False),
        ("Q6_K", "int6", 16, True),
        ("mxfp4, a scale per 32", "mxfp4", 32, False),
        ("fp8 e4m3, a scale per 128 x 128", "fp8", 128, False),
        ("fp8 e4m3, one scale", "fp8", None, False),
    ],
)
def test_labels(label: str, name: str, group: int | None, calibrated: bool) -> None:
    grid = grid_of(label, 1.0)
    assert grid is not None
    assert (grid.name, grid.cut.group, grid.calibrated) == (name, group, calibrated)


@pytest.mark.parametrize("label", ["IQ3_XXS", "TQ1_0", "something new", "Q9_1"])
def test_unknown_labels_have_no_grid(label: str) -> None:
    assert grid_of(label, 1.0) is None


@pytest.mark.parametrize("label", ["int8, one scale", "int8, one scale, zero points"])
def test_one_scale_is_of_the_whole_tensor(label: str) -> None:
    grid = grid_of(label, 127.0)
    assert grid is not None
    assert grid.rounded(np.array([[0.6, -3.4], [126.0, 0.0]])).tolist() == [[1, -3], [126, 0]]


def test_plain_types() -> None:
    assert "F64" not in PLAIN
    assert PLAIN["F32"].name == "fp32"
    beyond = np.array([[1e39, -1e39, 1.0]])
    for label, top in (("F16", 65504.0), ("BF16", 3.3895313892515355e38), ("F8_E5M2", 57344.0)):
        assert PLAIN[label].rounded(beyond).tolist() == [[np.float32(top), -np.float32(top), 1.0]]
