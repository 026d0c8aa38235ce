"""The default metrics on numbers that one can check by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from netdistance.checkpoints.base import TensorSpec
from netdistance.distances.measure import Measured, is_identical, metrics_of
from netdistance.distances.noise_floor import ROUNDING_METRICS
from netdistance.distances.relative import SUM_METRICS, angle_rad
from netdistance.distances.structure import MATRIX_METRICS
from netdistance.linalg.sums import PairSums
from netdistance.pairing.match import TensorPair
from netdistance.quantities import Exact, Interval, Quantity, Skipped
from netdistance.studies.compare import compare


def metrics(a: list[float], b: list[float]) -> dict[str, Quantity]:
    sums = PairSums.of(np.array(a), np.array(b))
    return {metric.name: metric.of(sums) for metric in SUM_METRICS}


def close(found: object, value: float) -> bool:
    """Whether a quantity is exact and this number, up to rounding."""
    return isinstance(found, Exact) and math.isclose(found.value, value, rel_tol=1e-14)


def test_by_hand() -> None:
    found = metrics([3.0, 4.0], [3.0, 5.0])
    assert found["relative_frobenius"] == Exact(0.2)
    assert found["max_abs"] == Exact(1.0)
    assert found["changed_fraction"] == Exact(0.5)
    assert close(found["sqnr_db"], 20 * math.log10(5))
    assert close(found["angle_rad"], math.acos(29 / (5 * math.sqrt(34))))


def test_a_metric_says_its_unit_and_source() -> None:
    assert len({metric.name for metric in SUM_METRICS}) == len(SUM_METRICS)
    assert all(metric.unit and metric.source for metric in SUM_METRICS)


def test_doubling_is_half_way_to_nothing() -> None:
    assert metrics([1.0, 2.0], [2.0, 4.0])["relative_frobenius"] == Exact(1.0)
    assert metrics([2.0, 4.0], [1.0, 2.0])["relative_frobenius"] == Exact(0.5)


@pytest.mark.parametrize("theta", [1e-12, 1e-9, 1e-6, 1e-3, 1.0, 3.0, math.pi])
def test_small_angles_survive(theta: float) -> None:
    b = np.array([math.cos(theta), math.sin(theta)])
    (row,) = compare({"w": np.array([1.0, 0.0])}, {"w": b}).tensors
    found = row.metrics["angle_rad"]
    assert isinstance(found, Exact)
    assert abs(found.value - theta) < 1e-8


def test_a_parallel_tensor_has_no_angle() -> None:
    (row,) = compare({"w": np.array([1.0, 3.0])}, {"w": np.array([2.0, 6.0])}).tensors
    found = row.metrics["angle_rad"]
    assert isinstance(found, Exact)
    assert found.value < 1e-8


def pair(encoding: str, unreadable: str | None = None) -> TensorPair:
    spec = TensorSpec("w", (2,), encoding, 8)
    return TensorPair("w", spec, spec, unreadable)


def test_what_could_not_be_read_is_skipped_with_its_reason() -> None:
    found = metrics_of(pair("F32", "in b: F6_E2M3 has no decoder"), Measured())
    assert set(found.values()) == {Skipped("in b: F6_E2M3 has no decoder")}
    default = [metric for metric in SUM_METRICS if metric.default]
    known = {metric.name for metric in (*default, *ROUNDING_METRICS, *MATRIX_METRICS)}
    assert found.keys() == known
    more = metrics_of(pair("F32", "in b: no decoder"), Measured(all_metrics=True))
    assert more.keys() - known == {m.name for m in SUM_METRICS if not m.default}


def test_integers_compare_by_equality() -> None:
    same = metrics_of(pair("I64"), Measured(PairSums(elements=4)))
    assert same["relative_frobenius"] == Exact(0.0)
    found = metrics_of(pair("I64"), Measured(PairSums(elements=4, changed=1)))
    assert found["changed_fraction"] == Exact(0.25)
    assert found["relative_frobenius"] == Skipped(
        "1 of 4 integers differ: integers compare by equality"
    )


def test_identical_means_every_value() -> None:
    one = np.array([0.0, 1.0])
    assert is_identical(PairSums.of(one, np.array([-0.0, 1.0])))
    assert not is_identical(PairSums.of(one, np.array([0.0, 1.0 + 2.0**-52])))
    assert not is_identical(PairSums.of(np.array([np.nan]), np.array([np.nan])))
    assert not is_identical(None)


def test_what_is_no_floating_point_says_so_of_rounding() -> None:
    spec = TensorSpec("w", (2, 2), "C64", 32)
    sums = PairSums.of(np.ones(4, np.complex64), np.full(4, 2j, np.complex64))
    found = metrics_of(TensorPair("w", spec, spec), Measured(sums))
    assert found["rounding_multiple_int8"] == Skipped("C64: rounding is of real floating point")


@pytest.mark.parametrize("scale", [2.0, 3.0, 0.3, 10.0, 1000.0, -3.0])
def test_what_rounding_leaves_of_the_angle_of_a_multiple_is_an_interval(scale: float) -> None:
    """The squares of b = c a cancel to 1e-16 of themselves, whose root is more than 1e-8."""
    a = np.random.default_rng(0).standard_normal(4096)
    found, expected = angle_rad(PairSums.of(a, scale * a)), 0.0 if scale > 0 else math.pi
    assert isinstance(found, Interval)
    assert found.lower <= expected + 1e-12 and expected - 1e-12 <= found.upper
    assert found.upper - found.lower < 1e-4


@pytest.mark.parametrize("scale", [2.0, 3.0, 0.3, 1000.0, -3.0, 1e-12, 1e18, -1e-9, 1e-16])
@pytest.mark.parametrize("turn", [0.0, 1e-7, 0.3, 1.5])
def test_compare_looks_again_at_the_size_of_b(scale: float, turn: float) -> None:
    """The angle is within 1e-8 whatever the sizes."""
    generator = np.random.default_rng(1)
    a = generator.standard_normal(1000)
    aside = generator.standard_normal(1000)
    aside -= a * (aside @ a) / (a @ a)
    aside *= np.linalg.norm(a) / np.linalg.norm(aside)
    b = scale * (math.cos(turn) * a + math.sin(turn) * aside)
    (row,) = compare({"w": a}, {"w": b}).tensors
    found = row.metrics["angle_rad"]
    assert isinstance(found, Exact)
    assert abs(found.value - (turn if scale > 0 else math.pi - turn)) <= 1e-8
