"""Grids of containers: closed forms, the nearest number, and the labels that name them."""

from __future__ import annotations

import numpy as np
import pytest

from netdistance.distances import container_grids as grids
from netdistance.distances.containers import PLAIN, grid_of

ROWS = np.random.default_rng(0).standard_normal((4, 160))


def test_whole_codes_of_a_group_stay_where_they_are() -> None:
    codes = np.array([[7.0, -3.0, 2.0, 0.0, -7.0, 5.0]])
    assert np.array_equal(grids.in_groups(4, grids.symmetric(4, 7.0))(codes[:, :4]), codes[:, :4])
    # the ragged last group has a scale of its own
    rounded = grids.in_groups(4, grids.symmetric(4, 7.0))(codes)
    assert np.allclose(rounded[0, 4:], [-7.0, 5.0])


@pytest.mark.parametrize(
    ("grid", "step"),
    [
        (grids.in_groups(32, grids.symmetric(8, 127.0)), 1 / 127),
        (grids.in_groups(32, grids.affine(4, with_zero=True)), 2 / 15),
        (grids.in_groups(32, grids.affine(4, with_zero=False)), 2 / 15),
    ],
)
def test_nothing_moves_more_than_half_a_step(grid: grids.Round, step: float) -> None:
    largest = np.abs(ROWS.reshape(-1, 32)).max(axis=1, keepdims=True)
    moved = np.abs(grid(ROWS) - ROWS).reshape(-1, 32)
    assert (moved <= 0.501 * step * largest).all()
    assert moved.max() > 0.0


def test_casts_are_those_of_the_types() -> None:
    torch = pytest.importorskip("torch")
    for cast, dtype in (
        (grids.BF16, torch.bfloat16),
        (grids.FP16, torch.float16),
        (grids.E4M3, torch.float8_e4m3fn),
        (grids.E5M2, torch.float8_e5m2),
    ):
        expected = torch.from_numpy(ROWS).to(dtype).double().numpy()
        assert np.array_equal(cast(ROWS), expected), dtype


def test_blocks_share_one_scale() -> None:
    rows = np.ones((3, 5))
    rows[0, 0], rows[2, 4] = 448.0, 7.0
    found = grids.in_blocks(2, 4, grids.scaled(448.0, lambda x: np.rint(x / 64.0) * 64.0))(rows)
    assert found[0, 0] == 448.0 and found[1, 3] == 0.0  # 1 is far below the step of this block
    assert found[2, 4] == 7.0 and found[2, 0] == 1.0


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
    assert (grid.name, grid.group, grid.calibrated) == (name, group, calibrated)


@pytest.mark.parametrize("label", ["IQ3_XXS", "TQ1_0", "something new", "Q9_1"])
def test_unknown_labels_have_no_grid(label: str) -> None:
    assert grid_of(label, 1.0) is None


def test_plain_types() -> None:
    assert "F64" not in PLAIN
    assert PLAIN["F32"].name == "fp32"
