"""The matrix metrics against naive twins: numpy's SVD of whole matrices, its FFT of kernels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from netdistance.distances import structure
from netdistance.distances.structure import MATRIX_METRICS, norm_and_rank, spectral_metrics
from netdistance.quantities import Exact, Interval, Quantity, Skipped
from tests.cases.tensor_pairs import PAIRS

# a kernel's interval is as wide as its grid of frequencies is coarse, twice for a quotient
MATRIX_WIDTH, KERNEL_WIDTH = 1e-3, 0.05
_POINTS = 60


def norm(weight: np.ndarray) -> float:
    """The largest singular value, over a fine grid of frequencies for a kernel."""
    axes = tuple(range(2, weight.ndim))
    symbol = np.fft.fftn(weight.astype(np.float64), (_POINTS,) * len(axes), axes)
    symbol = np.moveaxis(symbol, (0, 1), (-2, -1))
    return float(np.linalg.svd(symbol, compute_uv=False).max())


def rank(weight: np.ndarray) -> float:
    return float((weight.astype(np.float64) ** 2).sum()) / norm(weight) ** 2


def change(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return b.astype(np.float64) - a.astype(np.float64)


TWINS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "relative_spectral": lambda a, b: norm(change(a, b)) / norm(a),
    "stable_rank_a": lambda a, b: rank(a),
    "stable_rank_change": lambda a, b: rank(change(a, b)),
}


def miss(metric: str, found: Quantity, a: np.ndarray, b: np.ndarray) -> str:
    """How a metric departs from its twin, empty where its interval holds it and is narrow."""
    expected = TWINS[metric](a, b)
    if not isinstance(found, Interval):
        return f"{found}, expected {expected}"
    width, slack = (MATRIX_WIDTH, 1e-12) if a.ndim == 2 else (KERNEL_WIDTH, 0.01)
    if not found.lower * (1.0 - slack) <= expected <= found.upper * (1.0 + slack):
        return f"{found} misses {expected}"
    return "" if found.upper - found.lower <= width * found.upper else f"{found} is wide"


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def low_rank(rows: int, columns: int) -> np.ndarray:
    return 0.1 * np.outer(draw(rows, seed=2), draw(columns, seed=3))


CASES = {
    "gaussian": (draw(40, 30), draw(40, 30, seed=1)),
    "small change": (draw(40, 30), draw(40, 30) + 1e-6 * draw(40, 30, seed=1)),
    "low rank change": (draw(40, 30), draw(40, 30) + low_rank(40, 30)),
    "tall": (draw(300, 4), draw(300, 4, seed=1)),
    "one row": (draw(1, 20), draw(1, 20, seed=1)),
    "one element": (draw(1, 1), draw(1, 1, seed=1)),
    "float32": tuple(draw(30, 20, seed=s).astype(np.float32) for s in range(2)),
    "float16 to float32": (draw(30, 20).astype(np.float16), draw(30, 20).astype(np.float32)),
    "kernel": (draw(6, 4, 3, 3), draw(6, 4, 3, 3, seed=1)),
    "kernel of one axis": (draw(6, 4, 5), draw(6, 4, 5) + 1e-3 * draw(6, 4, 5, seed=1)),
    "kernel of one tap": (draw(6, 4, 1, 1), draw(6, 4, 1, 1, seed=1)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("metric", TWINS)
def test_twins(metric: str, case: str) -> None:
    a, b = CASES[case]
    assert miss(metric, spectral_metrics(a, b)[metric], a, b) == ""


def test_every_metric_has_a_twin_and_a_source() -> None:
    assert [metric.name for metric in MATRIX_METRICS] == list(TWINS)
    assert all(metric.unit and metric.source for metric in MATRIX_METRICS)


def test_the_comparer_finds_planted_faults() -> None:
    a, b = CASES["gaussian"]
    found = spectral_metrics(a, b)["relative_spectral"]
    assert isinstance(found, Interval)
    below = Interval(found.lower * 0.9, found.lower * 0.95)
    wide = Interval(0.0, found.upper)
    for planted in (below, wide, Exact(found.upper), Skipped("no")):
        assert miss("relative_spectral", planted, a, b)


def test_a_metric_alone_is_the_same() -> None:
    a, b = CASES["tall"]
    assert {m.name: m.of(a, b) for m in MATRIX_METRICS} == spectral_metrics(a, b)


def test_identical() -> None:
    for a in (draw(5, 4), draw(5, 4, 3)):
        found = spectral_metrics(a, a.copy())
        assert found["relative_spectral"] == Exact(0.0)
        assert found["stable_rank_change"] == Skipped("identical")
        assert isinstance(found["stable_rank_a"], Interval)


def test_zero_reference() -> None:
    zero = np.zeros((3, 4))
    moved, still = spectral_metrics(zero, draw(3, 4)), spectral_metrics(zero, zero)
    assert moved["relative_spectral"] == Skipped("the reference is zero")
    assert moved["stable_rank_a"] == still["stable_rank_a"] == Skipped("the reference is zero")
    assert isinstance(moved["stable_rank_change"], Interval)
    assert still["relative_spectral"] == Exact(0.0)


def test_became_zero() -> None:
    a = draw(3, 4)
    relative = spectral_metrics(a, np.zeros((3, 4)))["relative_spectral"]
    assert isinstance(relative, Interval) and relative.lower <= 1.0 <= relative.upper


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        (np.ones((2, 2)), np.array([[1.0, np.nan], [np.inf, 0.0]]), "in b: non-finite elements: 2"),
        (np.full((2, 2), -np.inf), np.ones((2, 2)), "in a: non-finite elements: 4"),
        (np.ones(4), np.ones(4), "in a: has fewer than two axes"),
        (np.ones((0, 4)), np.ones((0, 4)), "in a: empty"),
        (np.ones((2, 2), np.int8), np.zeros((2, 2), np.int8), "in a: entries are int8"),
        (np.ones((2, 2), np.complex64), np.ones((2, 2)), "in a: entries are complex64"),
        (np.full((2, 2), -1.7e308), np.full((2, 2), 1.7e308), "the difference exceeds float64"),
    ],
)
def test_skipped_with_the_reason(a: np.ndarray, b: np.ndarray, reason: str) -> None:
    relative = spectral_metrics(a, b)["relative_spectral"]
    assert isinstance(relative, Skipped) and relative.reason.startswith(reason)


def test_too_many_elements_are_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    huge = np.broadcast_to(np.float32(1.0), (1 << 15, (1 << 13) + 1))
    found = spectral_metrics(huge, huge)
    assert all(isinstance(q, Skipped) and "too much memory" in q.reason for q in found.values())
    monkeypatch.setattr(structure, "MOST_ELEMENTS", 5)
    assert isinstance(spectral_metrics(draw(2, 3), draw(2, 3))["relative_spectral"], Skipped)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one shape"):
        spectral_metrics(draw(2, 3), draw(3, 2))


@pytest.mark.parametrize("case", PAIRS, ids=lambda case: case.name)
def test_every_case_gives_a_number_or_a_reason(case: object) -> None:
    a, b = case.make()  # type: ignore[attr-defined]
    for shape in ((1, -1), (-1, 1, 1)):
        if a.size:
            found = spectral_metrics(a.reshape(shape), b.reshape(shape))
            assert list(found) == list(TWINS)


@pytest.mark.parametrize("exponent", [-1040, -600, -3, 5, 700, 1000])
def test_scaling_both_by_a_power_of_two_changes_little(exponent: int) -> None:
    a, b = (np.round(x * 1024) / 1024 for x in CASES["gaussian"])
    plain = spectral_metrics(a, b)
    scaled = spectral_metrics(np.ldexp(a, exponent), np.ldexp(b, exponent))
    for name, found in scaled.items():
        assert miss(name, found, a, b) == ""
        assert isinstance(found, Interval) and isinstance(plain[name], Interval)


def test_far_apart_scales() -> None:
    a, b = np.full((2, 2), 1e-200), np.full((2, 2), 1e200)
    assert spectral_metrics(a, b)["relative_spectral"] == Skipped("exceeds float64")
    assert isinstance(spectral_metrics(b, a)["relative_spectral"], Interval)


def test_norm_and_rank() -> None:
    weight = draw(20, 10)
    found, ranked = norm_and_rank(weight)
    assert isinstance(found, Interval) and isinstance(ranked, Interval)
    assert found.lower <= norm(weight) * (1.0 + 1e-12) and norm(weight) <= found.upper * (1 + 1e-12)
    assert ranked.lower <= rank(weight) * (1.0 + 1e-12) and rank(weight) <= ranked.upper * (
        1 + 1e-12
    )
    assert norm_and_rank(np.zeros((2, 2))) == (Interval(0.0, 0.0), Skipped("the tensor is zero"))
    big = norm_and_rank(np.full((4, 4), 1.7e308))
    assert isinstance(big[0], Skipped) and isinstance(big[1], Interval)
