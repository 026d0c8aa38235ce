"""What every metric of `SUM_METRICS` keeps, on one table of pairs."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from netdistance.distances.relative import SUM_METRICS, SumMetric
from netdistance.linalg.sums import PairSums
from netdistance.quantities import Exact, Interval, Skipped
from netdistance.report.json import render_json
from netdistance.studies.compare import CompareOptions, compare
from tests.cases.tensor_pairs import BY_NAME, LEAF, LONG, PAIRS, Case, draw
from tests.oracles.pair_distances import TWINS, miss

METRICS = pytest.mark.parametrize("metric", SUM_METRICS, ids=lambda metric: metric.name)
EVERY = pytest.mark.parametrize("case", PAIRS, ids=lambda case: case.name)
NORMAL = ("1000 of float64, 1, moved by 0.5", "1000 of float64, 1, moved by 1e-07", "opposite")


def finite(case: Case) -> bool:
    return all(bool(np.isfinite(side).all()) for side in case.make())


FINITE = [case for case in PAIRS if finite(case)]


@METRICS
@EVERY
def test_identical_is_zero(metric: SumMetric, case: Case) -> None:
    a, _ = case.make()
    if np.isfinite(a).all():
        found = metric.of(PairSums.of(a, a.copy(), signs=True))
        if metric.name.startswith("sparsity"):  # of one side, which need not move
            return
        assert found in (Exact(0.0), Skipped("identical"))
        assert (found == Skipped("identical")) == (metric.name == "sqnr_db")


@METRICS
@pytest.mark.parametrize("case", FINITE, ids=lambda case: case.name)
def test_a_number_or_a_reason_that_the_slow_twin_confirms(metric: SumMetric, case: Case) -> None:
    a, b = case.make()
    found = metric.of(PairSums.of(a, b, signs=True))
    assert isinstance(found, Exact | Interval | Skipped)
    assert miss(metric.name, found, a, b) == ""


@EVERY
def test_what_is_not_finite_is_counted(case: Case) -> None:
    a, b = case.make()
    sums = PairSums.of(a, b)
    assert sums.finite == finite(case)
    assert sums.non_finite_a == np.count_nonzero(~np.isfinite(a))
    assert sums.non_finite_b == np.count_nonzero(~np.isfinite(b))


def test_every_metric_has_a_twin() -> None:
    assert TWINS.keys() == {metric.name for metric in SUM_METRICS}


@METRICS
@pytest.mark.parametrize("case", LONG, ids=lambda case: case.name)
def test_any_split_at_leaves_gives_the_same_bits(metric: SumMetric, case: Case) -> None:
    a, b = case.make()
    whole = metric.of(PairSums.of(a, b, signs=True))
    inner = range(LEAF, a.size, LEAF)
    for cuts in ([], list(inner), list(inner)[:1], list(inner)[-1:]):
        parts = [PairSums.of(a[i:j], b[i:j], signs=True) for i, j in pairwise([0, *cuts, a.size])]
        forward = sum(parts, PairSums())
        backward = parts[-1]
        for part in parts[-2::-1]:
            backward = part + backward
        assert metric.of(forward) == metric.of(backward) == whole
        assert forward.elements == a.size


@METRICS
@pytest.mark.parametrize("name", NORMAL)
@pytest.mark.parametrize("power", [-900, -400, -37, 5, 200, 700, 1000])
def test_a_common_power_of_two_changes_no_bit(metric: SumMetric, name: str, power: int) -> None:
    a, b = BY_NAME[name].make()
    before = metric.of(PairSums.of(a, b, signs=True))
    after = metric.of(PairSums.of(np.ldexp(a, power), np.ldexp(b, power), signs=True))
    if metric.name == "max_abs":
        assert isinstance(before, Exact)
        before = Exact(math.ldexp(before.value, power))
    assert after == before


def test_a_planted_fault_of_a_metric_is_found() -> None:
    a, b = BY_NAME[NORMAL[0]].make()
    for metric in SUM_METRICS:
        right = metric.of(PairSums.of(a, b, signs=True))
        assert isinstance(right, Exact)
        assert miss(metric.name, right, a, b) == ""
        step = 1e-7 if metric.name == "angle_rad" else 1e-11 * abs(right.value) + 1e-10
        assert miss(metric.name, Exact(right.value + step), a, b) != ""
        assert miss(metric.name, Skipped("exceeds float64"), a, b) != ""
    assert miss("sqnr_db", Exact(0.0), a, a) != ""
    # the subtraction in float32 that a careless script does
    close = a * (1 + 1e-7)
    careless = PairSums.of(a.astype(np.float32), close.astype(np.float32))
    assert miss("relative_frobenius", SUM_METRICS[0].of(careless), a, close) != ""


def test_noise_of_a_given_size_is_measured_as_that_size() -> None:
    a, noise = draw(5000), draw(5000, 7)
    for eta in (1e-6, 0.01, 3.0):
        b = a + noise * (eta * np.linalg.norm(a) / np.linalg.norm(noise))
        found = SUM_METRICS[0].of(PairSums.of(a, b))
        assert isinstance(found, Exact)
        assert math.isclose(found.value, eta, rel_tol=1e-9)


def document(a: Path, b: Path, threads: int | None = None) -> dict[str, Any]:
    """The report without what may differ: its provenance."""
    report: dict[str, Any] = json.loads(render_json(compare(a, b, CompareOptions(threads=threads))))
    del report["provenance"]
    return report


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints in both formats and in two orders; one tensor is larger than a piece."""
    place = tmp_path_factory.mktemp("pairs")
    sizes = {"10.weight": 70 * LEAF + 5, "2.weight": 3 * LEAF, "2.bias": 33, "x": 0}
    for seed, side in enumerate("ab"):
        state = {
            name: draw(size, seed).astype(np.float32).reshape(1, -1) for name, size in sizes.items()
        }
        save_file(state, place / f"{side}.safetensors")
        back = dict(reversed(state.items()))
        (place / "back").mkdir(exist_ok=True)
        save_file(back, place / "back" / f"{side}.safetensors")
        torch.save({n: torch.from_numpy(v) for n, v in back.items()}, place / f"{side}.pt")
    return place


@pytest.mark.parametrize("threads", [1, 2, 4, None])
def test_the_report_has_the_same_bits_for_any_threads_order_and_format(
    folder: Path, threads: int | None
) -> None:
    reference = document(folder / "a.safetensors", folder / "b.safetensors", 1)
    names = [row["name"] for row in reference["tensors"]]
    assert names == ["2.bias", "2.weight", "10.weight", "x"]
    for place, suffix in (
        (folder, "safetensors"),
        (folder / "back", "safetensors"),
        (folder, "pt"),
    ):
        assert document(place / f"a.{suffix}", place / f"b.{suffix}", threads) == reference
