"""What every member of SCHEMES keeps: the noise floor's grids, honest bits, a stable round trip."""

from __future__ import annotations

import math

import numpy as np
import pytest

from netdistance.compression.base import Scheme
from netdistance.compression.schemes import SCHEMES, scheme_of
from netdistance.distances.noise_floor import ROUNDING_METRICS
from netdistance.errors import UsageError
from netdistance.linalg.rounding_sums import RoundingSums

EVERY = tuple(scheme_of(name) for family in SCHEMES for name in family.examples)
ROUNDING = tuple(scheme for scheme in EVERY if scheme.rounds)
ON_FLOOR = tuple(scheme for scheme in EVERY if scheme.floor is not None)
SHAPES = [(64, 256), (5, 130), (7, 3, 5, 5), (1, 1), (3, 63), (1, 65)]
# how many bits one element of a stored part has, where that is no whole number of bytes
BITS = {"mask": 1}

schemes = pytest.mark.parametrize("scheme", EVERY, ids=lambda scheme: scheme.name)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def weights(shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
    generator = np.random.default_rng(math.prod(shape))
    return (generator.standard_normal(shape) * scale).astype(np.float32)


def simulated(scheme: Scheme, weight: np.ndarray) -> np.ndarray:
    return scheme.decode(scheme.encode(weight), weight.shape)


def multiple(scheme: Scheme, weight: np.ndarray, changed: np.ndarray) -> float:
    """How many times the nominal rounding of the scheme's format the weight moved."""
    flat, row = weight.ravel(), weight.size // weight.shape[0]
    sums = RoundingSums.of(flat, 0, row, float(np.abs(flat).max()))
    (metric,) = (metric for metric in ROUNDING_METRICS if metric.format == scheme.floor)
    moved = np.linalg.norm(changed.astype(np.float64) - weight)
    return float(moved / math.sqrt(metric.energy(sums)))


@schemes
@shapes
def test_a_weight_of_its_own_shape_comes_back(scheme: Scheme, shape: tuple[int, ...]) -> None:
    weight = weights(shape)
    kept = weight.copy()
    found = simulated(scheme, weight)
    assert found.shape == shape and found.dtype == np.float32
    np.testing.assert_array_equal(weight, kept)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("scheme", ON_FLOOR, ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("shape", [(256, 512), (300, 200), (64, 16, 3, 3)], ids=str)
def test_its_grid_is_that_of_the_noise_floor(scheme: Scheme, shape: tuple[int, ...]) -> None:
    weight = weights(shape)
    assert multiple(scheme, weight, simulated(scheme, weight)) == pytest.approx(1.0, abs=0.1)


def test_every_format_of_the_noise_floor_has_a_scheme() -> None:
    assert {scheme.floor for scheme in ON_FLOOR} == {m.format for m in ROUNDING_METRICS}


def test_a_planted_coarser_grid_is_found() -> None:
    weight = weights((256, 512))
    for name, planted in (("int8", "int7"), ("int4-g128", "int4-g256"), ("bf16", "fp8")):
        found = simulated(scheme_of(planted), weight)
        assert abs(multiple(scheme_of(name), weight, found) - 1.0) > 0.03


@pytest.mark.parametrize("scheme", ROUNDING, ids=lambda scheme: scheme.name)
@shapes
def test_what_is_on_the_grid_stays(scheme: Scheme, shape: tuple[int, ...]) -> None:
    once = simulated(scheme, weights(shape))
    twice = scheme.encode(once)
    again = scheme.decode(twice, shape)
    np.testing.assert_allclose(again, once, rtol=1e-6)


@pytest.mark.parametrize("scheme", ROUNDING, ids=lambda scheme: scheme.name)
def test_no_other_code_is_nearer(scheme: Scheme) -> None:
    """Each element is at most as far from its number as from those of its neighbours."""
    weight = np.sort(weights((1, 16)), axis=1)  # no more than the smallest group
    found = simulated(scheme, weight)
    values = np.unique(found)
    least = np.abs(weight[0][:, None] - values[None]).min(axis=1)
    np.testing.assert_allclose(np.abs(weight - found)[0], least, rtol=1e-4, atol=1e-6)


@schemes
@shapes
def test_the_bits_are_those_of_the_parts(scheme: Scheme, shape: tuple[int, ...]) -> None:
    parts = scheme.encode(weights(shape))
    elements = math.prod(shape)
    stored = 0
    for name, part in parts.items():
        if name == "codes":
            width = {"int": scheme.name[3:4], "nf4": 4, "fp4": 4, "mxf": 4}.get(scheme.name[:3])
            stored += part.size * int(width or 8 * part.itemsize)
        else:
            stored += elements if name == "mask" else 8 * part.nbytes
    assert scheme.bits(shape, 32) == min(stored, 32 * elements if not scheme.rounds else stored)


@schemes
def test_zeros_stay(scheme: Scheme) -> None:
    weight = weights((4, 200))
    weight[1] = 0.0
    weight[2, ::3] = 0.0
    found = simulated(scheme, weight)
    assert not found[1].any() or not scheme.rounds
    if scheme.rounds:
        assert not found[2, ::3].any()
    assert not simulated(scheme, np.zeros((3, 5), dtype=np.float32)).any()


@schemes
@pytest.mark.parametrize("scale", [1e-44, 1e-39, 1e-30, 1e4, 1e37])
def test_any_magnitude_gives_numbers(scheme: Scheme, scale: float) -> None:
    weight = weights((4, 150), scale)
    found = simulated(scheme, weight)
    if scheme.name == "fp16" and scale > 1e5:
        assert np.isinf(found).any()
    else:
        assert np.isfinite(found).all()
        assert np.abs(found).max() <= np.abs(weight).max() * 1.35


def test_pruning_removes_so_many_of_the_least() -> None:
    weight = np.array([[3.0, -1.0, 1.0], [1.0, 0.0, -2.0]], dtype=np.float32)
    assert simulated(scheme_of("prune-0.5"), weight).tolist() == [[3, 0, 0], [1, 0, -2]]
    assert simulated(scheme_of("prune-0.1"), weight).tolist() == [[3, -1, 1], [1, 0, -2]]
    large = weights((50, 50))
    pruned = simulated(scheme_of("prune-0.3"), large)
    assert np.count_nonzero(pruned) == 1750
    assert np.abs(large[pruned == 0]).max() < np.abs(pruned[pruned != 0]).min()


def test_low_rank_is_the_nearest() -> None:
    """Eckart and Young: the distance is that of the singular values left out."""
    weight = weights((20, 30))
    found = simulated(scheme_of("lowrank-5"), weight)
    values = np.linalg.svd(weight.astype(np.float64), compute_uv=False)
    assert np.linalg.matrix_rank(found, tol=1e-4) == 5
    error = np.linalg.norm(found - weight.astype(np.float64))
    assert error == pytest.approx(np.linalg.norm(values[5:]), rel=1e-5)
    np.testing.assert_array_equal(simulated(scheme_of("lowrank-20"), weight), weight)


@pytest.mark.parametrize(
    "text",
    ["", "int1", "int9", "int4-g0", "int4g128", "prune-1", "prune-0", "prune-0.0", "lowrank-0",
     "nf8", "fp8-e5m2", "int4-g-1", "INT8", " int8"],
)  # fmt: skip
def test_what_is_no_scheme_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"no such scheme; there are bf16"):
        scheme_of(text)


def test_spellings() -> None:
    assert scheme_of("int4").name == "int4-g128" and scheme_of("int8").name == "int8"
    assert scheme_of("prune-.25").name == "prune-0.25"
    assert len({scheme.name for scheme in EVERY}) == len(EVERY)
