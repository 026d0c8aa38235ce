"""A tensor that a format holds already is found, stored as it may be; others are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from netdistance.checkpoints import open_checkpoint
from netdistance.distances.grids import grids_of
from netdistance.pairing.match import pair_tensors
from netdistance.quantities import Skipped
from netdistance.studies.compare import compare
from tests.oracles.rounding import rounded

FORMATS = ("int8", "int4", "fp8")
# a row that fills many blocks, rows that leaves cut, groups that are ragged, more axes
SHAPES = [(3, 70001), (300, 700), (16, 200), (40, 128), (8, 3, 5, 7)]


def weights(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def rounded_to(name: str, weight: np.ndarray) -> np.ndarray:
    """Rounded for real; row by row, because the oracle of int4 knows whole groups only."""
    if name == "fp8":
        return rounded(weight, "rounding_multiple_fp8")
    rows = weight.reshape(weight.shape[0], -1)
    group = rows.shape[1] if name == "int8" else 128
    top = 127 if name == "int8" else 7
    parts = []
    for start in range(0, rows.shape[1], group):
        part = rows[:, start : start + group]
        step = np.abs(part).max(axis=1, keepdims=True) / np.float32(top)
        parts.append(np.rint(part / step) * step)
    return np.concatenate(parts, axis=1).reshape(weight.shape)


def found(folder: Path, weight: torch.Tensor) -> frozenset[str]:
    save_file({"w": weight}, folder / "a.safetensors")
    with open_checkpoint(folder / "a.safetensors") as a:
        (pair,) = pair_tensors(a.specs, a.specs).pairs
        return grids_of(a, pair, float(weight.double().abs().max()))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_was_rounded_is_on_its_grid_alone(
    tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    weight = rounded_to(name, weights(shape))
    assert found(tmp_path, torch.from_numpy(weight)) == {name}
    assert found(tmp_path, torch.from_numpy(weight.astype(np.float64))) == {name}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_what_was_not_rounded_is_on_none(
    tmp_path: Path, shape: tuple[int, ...], kind: torch.dtype
) -> None:
    assert found(tmp_path, torch.from_numpy(weights(shape)).to(kind)) == frozenset()


@pytest.mark.parametrize("place", [0, 123_456, -1])
@pytest.mark.parametrize("name", FORMATS)
def test_one_element_beside_the_grid_is_enough(tmp_path: Path, name: str, place: int) -> None:
    weight = rounded_to(name, weights((300, 700)))
    weight.flat[place] *= np.float32(0.97) if abs(weight.flat[place]) < 1 else np.float32(0.99)
    weight.flat[place] += np.float32(0.003)
    assert found(tmp_path, torch.from_numpy(weight)) == frozenset()


@pytest.mark.parametrize(
    ("kind", "held"),
    [(torch.bfloat16, {"int4", "fp8"}), (torch.float16, {"int8", "int4", "fp8"})],
)
def test_a_storage_that_cannot_tell_codes_apart_is_not_judged(
    tmp_path: Path, kind: torch.dtype, held: set[str]
) -> None:
    """bfloat16 keeps 8 digits: the codes of int8 blur, those of int4 and fp8 do not."""
    for name in FORMATS:
        stored = torch.from_numpy(rounded_to(name, weights((16, 256)))).to(kind)
        assert found(tmp_path, stored) == {name} & held


@pytest.mark.parametrize("shape", [(1, 2), (1, 3), (2, 2)])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_a_few_random_numbers_are_on_no_grid(
    tmp_path: Path, shape: tuple[int, int], kind: torch.dtype
) -> None:
    """One in six would lie near enough to codes of int4."""
    draws = torch.randn(60, *shape, generator=torch.Generator().manual_seed(0)).to(kind)
    assert not any(found(tmp_path, draw.contiguous()) for draw in draws)


def test_a_column_is_on_the_integer_grids(tmp_path: Path) -> None:
    """The step of each row is its element's own."""
    assert found(tmp_path, torch.from_numpy(weights((40, 1)))) >= {"int8", "int4"}


def test_a_row_of_zeros_is_on_every_grid(tmp_path: Path) -> None:
    weight = rounded_to("int8", weights((4, 256)))
    weight[2] = 0.0
    assert found(tmp_path, torch.from_numpy(weight)) == {"int8"}


@pytest.mark.parametrize("name", FORMATS)
def test_compare_says_so(tmp_path: Path, name: str) -> None:
    weight = rounded_to(name, weights((16, 256)))
    save_file({"w": torch.from_numpy(weight)}, tmp_path / "a")
    save_file({"w": torch.from_numpy(weight * np.float32(1.01))}, tmp_path / "b")
    metrics = compare(tmp_path / "a", tmp_path / "b").tensors[0].metrics
    said = metrics[f"rounding_multiple_{name}"]
    assert said == Skipped(f"a already is on the {name} grid: rounding would not move it")
    others = [metrics[f"rounding_multiple_{other}"] for other in FORMATS if other != name]
    assert not any(isinstance(other, Skipped) for other in others)
