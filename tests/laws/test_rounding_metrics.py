"""What every metric of `ROUNDING_METRICS` keeps: the definition, real rounding, any split."""

from __future__ import annotations

import math

import numpy as np
import pytest

from netdistance.distances.noise_floor import ROUNDING_METRICS, RoundingMetric
from netdistance.linalg.leaves import LEAF_ELEMENTS
from netdistance.linalg.rounding_sums import RoundingSums, RoundingWorkspace
from tests.oracles.rounding import ENERGIES, rounded

METRICS = pytest.mark.parametrize("metric", ROUNDING_METRICS, ids=lambda metric: metric.name)
SHAPES = [(300, 700), (3, 70001), (40000, 3), (70000, 1), (5, 128), (1, 5), (2, 3, 5, 7)]


def weights(shape: tuple[int, ...], kind: type = np.float32, scale: float = 1.0) -> np.ndarray:
    generator = np.random.default_rng(math.prod(shape))
    values = generator.standard_normal(shape) * scale
    values[generator.random(shape) < 0.1] = 0.0
    values.flat[0] = 1e-5 * scale
    return values.astype(kind)


def sums_of(weight: np.ndarray, cut: int | None = None) -> RoundingSums:
    """The sums of a whole tensor, read in pieces of `cut` elements."""
    flat, row = weight.ravel(), weight.size // weight.shape[0]
    largest = float(np.abs(flat).max())
    pieces = [
        RoundingSums.of(flat[start : start + (cut or flat.size)], start, row, largest)
        for start in range(0, flat.size, cut or flat.size)
    ]
    total = pieces[0]
    for piece in pieces[1:]:
        total += piece
    return total


def agrees(metric: RoundingMetric, found: RoundingSums, weight: np.ndarray) -> bool:
    # the powers of two are added in float32 within 2^12 elements
    return math.isclose(metric.energy(found), ENERGIES[metric.name](weight), rel_tol=2e-6)


@METRICS
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16])
def test_the_definition(metric: RoundingMetric, shape: tuple[int, ...], kind: type) -> None:
    weight = weights(shape, kind)
    assert agrees(metric, sums_of(weight), weight)


@METRICS
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
def test_any_magnitude(metric: RoundingMetric, scale: float) -> None:
    weight = weights((64, 200), scale=scale)
    assert agrees(metric, sums_of(weight), weight)


@METRICS
@pytest.mark.parametrize("shape", [(300, 700), (3, 70001)], ids=str)
def test_any_split_at_leaves_gives_the_same_bits(
    metric: RoundingMetric, shape: tuple[int, ...]
) -> None:
    weight = weights(shape)
    whole = metric.energy(sums_of(weight))
    for leaves in (1, 2):
        assert metric.energy(sums_of(weight, leaves * LEAF_ELEMENTS)) == whole


def test_a_workspace_may_be_used_again_for_anything() -> None:
    """Other sizes and scales leave nothing behind."""
    work = RoundingWorkspace()
    for size, scale in [(70_000, 1.0), (50, 8.0), (25, 1.0), (70_000, 1.0), (3, 0.1), (90, 0.1)]:
        x = weights((size, 1), scale=scale).ravel()
        again = RoundingSums.of(x, 0, 1, 5 * scale, work)
        assert again == RoundingSums.of(x, 0, 1, 5 * scale, RoundingWorkspace())


@pytest.mark.parametrize("row", [1, 3, 127, 128, 129, 384, 576, 1024, 3 * LEAF_ELEMENTS + 128])
@pytest.mark.parametrize("zeros", [False, True])
def test_rows_and_groups_of_any_length(row: int, zeros: bool) -> None:
    """Segments whole in a leaf, across leaves, and over several, with zeros and without."""
    weight = weights((max(1, 2 * LEAF_ELEMENTS // row), row))
    if not zeros:
        weight[weight == 0.0] = 0.5
    assert all(agrees(metric, sums_of(weight), weight) for metric in ROUNDING_METRICS)


@METRICS
def test_real_rounding_is_near(metric: RoundingMetric) -> None:
    """Within 10% on Gaussian weights of 128 rows or more."""
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((256, 512)).astype(np.float32)
    error = np.linalg.norm(rounded(weight, metric.name).astype(np.float64) - weight)
    assert error / math.sqrt(metric.energy(sums_of(weight))) == pytest.approx(1.0, abs=0.1)


def test_a_tensor_on_the_bf16_grid_says_so() -> None:
    weight = weights((64, 64))
    on_grid = rounded(weight, "rounding_multiple_bf16")
    assert sums_of(on_grid).on_bf16_grid and sums_of(on_grid.astype(np.float64)).on_bf16_grid
    assert not sums_of(weight).on_bf16_grid
    assert not sums_of(weight.astype(np.float64)).on_bf16_grid


def test_planted_wrong_energy_is_found() -> None:
    weight = weights((64, 200))
    assert not agrees(ROUNDING_METRICS[2], sums_of(weight * np.float32(1.001)), weight)
