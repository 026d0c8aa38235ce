"""The supremum of the symbol against fine grids, closed forms and exact arithmetic."""

from __future__ import annotations

import itertools
import math

import mpmath
import numpy as np
import pytest

from netdistance.linalg import symbol_norm as module
from netdistance.linalg.symbol import Symbol
from netdistance.linalg.symbol_norm import WIDTHS, most_flops, symbol_norm
from netdistance.quantities import Interval
from tests.oracles.singular_values import miss

SLACK = 1e-12


def gaussian(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def searched(kernel: np.ndarray, start: float | None = None) -> Interval:
    """The interval of a kernel (rows, columns, *q), its last two axes searched."""
    axes = kernel.ndim - 2
    points = tuple(
        1 if q == 1 else 0 if at >= axes - 2 else 40 for at, q in enumerate(kernel.shape[2:])
    )
    return Interval(*symbol_norm(kernel[None], points, start))


def symbol_at(kernel: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """S(w), (n, rows, columns), straight from its sum."""
    taps = np.indices(kernel.shape[2:]).reshape(kernel.ndim - 2, -1)
    turns = np.exp(1j * frequencies @ taps)
    return np.einsum("rca,na->nrc", kernel.reshape(*kernel.shape[:2], -1), turns)


def on_a_grid(kernel: np.ndarray, points: int) -> tuple[float, float]:
    """The largest |S| on a product grid, and the bound of the supremum that follows from it."""
    axes = kernel.ndim - 2
    grid = np.indices((points,) * axes).reshape(axes, -1).T * (2.0 * np.pi / points)
    seen = float(np.linalg.norm(symbol_at(kernel, grid), 2, axis=(1, 2)).max())
    return seen, seen / math.prod(
        math.cos(math.pi * (q - 1) / 2 / points) for q in kernel.shape[2:]
    )


def wave(q: tuple[int, ...], frequency: tuple[float, ...]) -> np.ndarray:
    """A kernel (2, 2, *q) whose symbol is prod q at one frequency and less at every other.

    cos and sin of w.a make a rotation, which is exp(-i w.a) in an eigenvector.
    """
    angle = np.tensordot(np.array(frequency), np.indices(q), 1)
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


SEPARABLE = np.multiply.outer(gaussian(4, 3), np.multiply.outer([1.0, 2.0, 1.0], [1.0, 0.0, -1.0]))
KERNELS = {
    "delta": np.eye(9).reshape(9, 3, 3)[4] * np.ones((1, 1, 1, 1)),
    "flat": np.linalg.qr(gaussian(6, 6))[0].reshape(6, 6, 1, 1) * np.eye(9)[2].reshape(3, 3),
    "rank one": np.multiply.outer(np.outer(gaussian(5), gaussian(3)), gaussian(3, 3)),
    "separable": SEPARABLE,
    "two peaks": wave((5, 5), (0.3, 2.0)) + wave((5, 5), (2.5, 4.1)),
    "wide": gaussian(64, 3, 7, 7),
    "one axis": gaussian(6, 5, 8),
    "one axis of two taps": gaussian(3, 3, 2),
    "a row": gaussian(6, 5, 1, 7),
    "uneven": gaussian(4, 4, 2, 5),
    "three axes": gaussian(3, 2, 2, 3, 3),
    "depthwise": gaussian(40, 1, 5, 5),
    "near a multiple of the identity": 1e-7 * gaussian(4, 4, 3, 3) + np.eye(4)[:, :, None, None],
}


@pytest.mark.parametrize("name", KERNELS)
def test_the_interval_holds_the_supremum(name: str) -> None:
    kernel = KERNELS[name]
    interval = searched(kernel)
    points = {1: 4000, 2: 64, 3: 24}[kernel.ndim - 2]
    seen, bound = on_a_grid(kernel, points)
    assert seen <= interval.upper * (1.0 + SLACK)
    assert interval.lower <= bound * (1.0 + SLACK)
    assert interval.upper <= interval.lower * (1.0 + 1.001 * WIDTHS[0][0])


TURNS = [0.0, 0.1, math.pi / 4, 1.0, 2.0, math.pi - 1e-3, math.pi, 4.5, 2 * math.pi - 0.05]


@pytest.mark.parametrize("at", TURNS)
@pytest.mark.parametrize("q", [2, 3, 9, 33])
def test_a_sharp_peak_anywhere_on_one_axis(at: float, q: int) -> None:
    assert not miss(searched(wave((q,), (at,))), float(q), SLACK)


@pytest.mark.parametrize("at", list(itertools.product(TURNS[::2], TURNS[1::3])))
@pytest.mark.parametrize("q", [(3, 3), (9, 4)])
def test_a_sharp_peak_anywhere_on_two_axes(at: tuple[float, float], q: tuple[int, int]) -> None:
    interval = searched(wave(q, at))
    assert not miss(interval, float(math.prod(q)), SLACK)
    assert interval.upper <= 1.0011 * interval.lower


def test_too_small_cells_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST", 0.1)  # cells that do not cover
    assert any(miss(searched(wave((9,), (at,))), 9.0, SLACK) for at in TURNS)


def test_a_missing_factor_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = np.zeros((4, 4, 9))
    kernel[:2, :2] = 0.98 * wave((9,), (0.0,))
    kernel[2:, 2:] = wave((9,), (2.5 * math.pi / 8.0,))  # between two centres of first cells
    assert not miss(searched(kernel), 9.0, SLACK)
    assert not miss(searched(kernel, 8.82), 9.0, SLACK)
    right = module._Search._thresholds
    monkeypatch.setattr(module._Search, "_thresholds", lambda s, theta: right(s, 0.0 * theta))
    assert "below" in miss(searched(kernel, 8.82), 9.0, SLACK)


@pytest.mark.parametrize("short", [0.25, 0.8, 0.9999])
@pytest.mark.parametrize("name", ["separable", "two peaks", "one axis", "uneven"])
def test_the_upper_end_does_not_rest_on_estimates(
    short: float, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = module._Search._bottoms
    monkeypatch.setattr(
        module._Search, "_bottoms", lambda s, m, t: t - short * (t - right(s, m, t))
    )
    kernel = KERNELS[name]
    interval = searched(kernel)
    seen, bound = on_a_grid(kernel, 4000 if kernel.ndim == 3 else 64)
    assert seen <= interval.upper * (1.0 + SLACK) and interval.lower <= bound * (1.0 + SLACK)


@pytest.mark.parametrize("start", [0.1, 0.5, 0.999])
def test_a_known_lower_end_is_kept(start: float) -> None:
    interval = searched(wave((5, 3), (0.7, 2.0)), start * 15.0)
    assert interval.lower == start * 15.0 and 15.0 <= interval.upper <= 15.02


def distance(cells: module._Cells, slopes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Of each point, the least theta(t) / theta over cells, their mirrors and periods."""
    centres = np.concatenate([cells.centre, -cells.centre])
    apart = (points[:, None] - centres[None] + np.pi) % (2.0 * np.pi) - np.pi
    return (np.abs(apart) @ slopes / np.concatenate([cells.theta, cells.theta])).min(1)


@pytest.mark.parametrize("q", [(2,), (3,), (9,), (2, 2), (3, 3), (2, 7), (6, 3)])
def test_cells_and_their_pieces_cover_all_frequencies(q: tuple[int, ...]) -> None:
    symbol, points = Symbol(gaussian(1, 2, 2, *q)), (0,) * len(q)
    slopes = (np.array(q) - 1.0) / 2.0
    search = module._Search(symbol, points, None)
    cells = module._first_cells(symbol, points)
    anywhere = np.random.default_rng(1).uniform(0.0, 2.0 * np.pi, (2000, len(q)))
    for seed in range(3):
        assert distance(cells, slopes, anywhere).max() <= 1.0 + 1e-9
        if seed == 0:
            fewer = distance(cells[1:], slopes, anywhere)
            assert fewer.max() > 1.0, "the cover has a cell too many"
        pieces = np.random.default_rng(seed).integers(2, 4, len(cells))
        cells = search._split(cells, pieces)


@pytest.mark.parametrize("q", [(4,), (3, 3), (5, 2), (3, 2, 2)])
def test_the_norm_falls_no_faster_than_a_cosine(q: tuple[int, ...]) -> None:
    kernel, rng = gaussian(3, 3, *q), np.random.default_rng(2)
    where = rng.uniform(0.0, 2.0 * np.pi, (20000, len(q)))
    norms = np.linalg.norm(symbol_at(kernel, where), 2, axis=(1, 2))
    top, best = norms.max(), where[norms.argmax()]
    steps = rng.uniform(-0.5, 0.5, (2000, len(q))) / len(q)
    theta = np.abs(steps) @ (np.array(q) - 1.0) / 2.0
    near = np.linalg.norm(symbol_at(kernel, best + steps), 2, axis=(1, 2))
    assert np.all(near >= 0.98 * top * np.cos(theta))
    # two corner taps reach it
    corners = np.zeros((1, 1, *q))
    corners[(0, 0, *[0] * len(q))] = corners[(0, 0, *[-1] * len(q))] = 1.0
    reached = np.abs(symbol_at(corners, np.abs(steps)))[:, 0, 0]
    np.testing.assert_allclose(reached, 2.0 * np.cos(theta), rtol=0, atol=1e-14)


def test_grams_and_their_error_against_exact_arithmetic() -> None:
    kernel, where = gaussian(2, 3, 2, 3, 2), np.array([[0.3, 6.1], [4.0, 1e-9]])
    symbol = Symbol(kernel)
    found = -symbol.shifted(np.array([0, 1]), where, np.zeros(2))
    for group in range(2):
        with mpmath.workdps(50):
            s = mpmath.zeros(3, 2)
            for a, b in itertools.product(range(3), range(2)):
                angle = a * mpmath.mpf(where[group, 0]) + b * mpmath.mpf(where[group, 1])
                s += mpmath.matrix(kernel[group, :, :, a, b].tolist()) * mpmath.expj(angle)
            exact = s.transpose_conj() * s
            off = [abs(exact[i, j] - complex(found[group, i, j])) for i in (0, 1) for j in (0, 1)]
            top = mpmath.svd_c(s, compute_uv=False)[0]
        assert max(map(float, off)) <= 0.1 * symbol.gram_error
        assert symbol.gram_error <= 1e-11 * float(np.abs(exact[0, 0]))
        lower = symbol.lower(group, where[group])
        assert lower <= top <= lower * (1 + 1e-11)


def test_listed_points_are_those_of_a_torus() -> None:
    kernel = gaussian(3, 2, 3, 2)
    for points in ((5, 4), (1, 6), (7, 1)):
        index = np.indices(points).reshape(2, -1).T
        norms = np.linalg.norm(
            symbol_at(kernel, 2.0 * np.pi * index / np.array(points)), 2, axis=(1, 2)
        )
        lower, upper = symbol_norm(kernel[None], points)
        assert not miss(Interval(lower, upper), float(norms.max()), SLACK)
        assert upper <= lower * (1.0 + 1e-5)


def test_groups_hold_the_largest() -> None:
    kernel = gaussian(5, 4, 3, 3, 3) * np.array([1e-3, 0.0, 1.0, 2.0, 0.5]).reshape(5, 1, 1, 1, 1)
    lower, upper = symbol_norm(kernel, (0, 0))
    alone = symbol_norm(kernel[3:4], (0, 0))
    assert lower <= alone[1] and alone[0] <= upper <= 1.0011 * lower


@pytest.mark.parametrize("order", [8, 130])
def test_a_matrix_too_large_for_all_eigenvalues(order: int) -> None:
    kernel = gaussian(order, order, 2)
    seen, bound = on_a_grid(kernel, 100)
    interval = searched(kernel)
    assert seen <= interval.upper and interval.lower <= bound
    assert interval.upper <= 1.0011 * interval.lower


def test_a_costly_search_is_wider_and_still_a_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = gaussian(4, 4, 3, 3)
    seen, _ = on_a_grid(kernel, 64)
    monkeypatch.setattr(module, "WIDTHS", tuple((width, 0.0) for width, _ in WIDTHS))
    interval = searched(kernel)
    assert seen <= interval.upper
    assert 1.005 * interval.lower < interval.upper <= (1.0 + WIDTHS[-1][0]) * interval.lower * 1.001


def test_the_cost_counts_what_is_there() -> None:
    assert most_flops(64, (3, 3)) < most_flops(64, (5, 3)) < most_flops(128, (5, 3))
    assert most_flops(8, (3,)) < most_flops(8, (3, 3)) < most_flops(8, (3, 3, 3))
    assert most_flops(8, (3, 1)) < most_flops(8, (3, 2))


def test_a_small_symbol_far_from_its_peak_certifies_nothing() -> None:
    # S(w) = 1 + exp(iw) vanishes at pi, a centre of the first cells, up to its rounding
    interval = searched(np.ones((1, 1, 2)))
    assert not miss(interval, 2.0, SLACK)
    search = module._Search(Symbol(np.ones((1, 1, 1, 2))), (0,), 1e-12)
    assert search._thresholds(np.zeros(1)) == -1.0
