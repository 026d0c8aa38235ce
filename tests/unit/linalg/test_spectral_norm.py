"""The interval of the largest singular value holds it, is narrow, and says when it cannot."""

from __future__ import annotations

import math

import numpy as np
import pytest

from netdistance.linalg.spectral_norm import (
    Lanczos,
    _cholesky_upper,
    cholesky_margin,
    frobenius_above,
    gamma,
    polynomial_bound,
    positive_definite,
    quotient_below,
    spectral_norm,
)
from netdistance.quantities import Interval
from tests.oracles.singular_values import largest_singular_value, miss

GRAM, POLYNOMIAL = {}, {"gram_limit": 0}
PATHS = pytest.mark.parametrize("options", [GRAM, POLYNOMIAL], ids=["gram", "polynomial"])


def gaussian(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def orthogonal(size: int) -> np.ndarray:
    return np.linalg.qr(gaussian(size, size))[0]


def bfloat16(matrix: np.ndarray) -> np.ndarray:
    """Float32 with the mantissa cut to bfloat16's eight bits."""
    bits = matrix.astype(np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
    return bits.view(np.float32)


def outlier(*shape: int) -> np.ndarray:
    matrix = gaussian(*shape)
    matrix[1, 2] = 1e4
    return matrix


def nearly_equal(size: int) -> np.ndarray:
    """Two singular values 1e-9 apart on top of a decaying spectrum."""
    values = 1.0 / np.arange(1, size + 1)
    values[:2] = 1.0, 1.0 - 1e-9
    return orthogonal(size) * values @ orthogonal(size).T


SMALL = {
    "one entry": np.array([[-3.0]]),
    "row": gaussian(1, 9),
    "column": gaussian(9, 1),
    "square": gaussian(7, 7),
    "tall": gaussian(11, 4),
    "wide": gaussian(4, 11),
    "flat": orthogonal(6),
    "signed ones": np.sign(gaussian(6, 8)),
    "rank 1": np.outer(gaussian(6), gaussian(5)),
    "outlier": outlier(6, 6),
    "nearly equal": nearly_equal(6),
    "diagonal": np.diag([1.0, -4.0, 2.0]),
    "one nonzero": np.eye(1, 12, 7).reshape(3, 4),
    "float16": gaussian(5, 6).astype(np.float16),
    "float32": gaussian(5, 6).astype(np.float32),
    "bfloat16": bfloat16(gaussian(5, 6)),
    "tiny": gaussian(5, 6) * 1e-200,
    "huge": gaussian(5, 6) * 1e200,
    "subnormal": np.round(8 * gaussian(4, 4)) * 5e-324,
    "largest": np.diag([1.7e308, 1.0, 1e-300]),
    "mixed scales": np.array([[1e200, 1e-200], [1e-200, 1e-150], [1.0, 1e200]]),
}
LARGE = {
    "gaussian": gaussian(150, 130),
    "wide": gaussian(60, 400),
    "tall": gaussian(3000, 30),
    "flat": orthogonal(120),
    "outlier": outlier(120, 100),
    "rank 1": np.outer(gaussian(90), gaussian(110)),
    "nearly equal": nearly_equal(100),
    "decaying": gaussian(100, 100) * 0.9 ** np.arange(100),
    "constant": np.full((80, 70), 0.1),
    "bfloat16": bfloat16(gaussian(100, 120)),
}


@PATHS
@pytest.mark.parametrize("case", SMALL)
def test_holds_the_norm_exactly(case: str, options: dict[str, int]) -> None:
    matrix = SMALL[case]
    interval = spectral_norm(matrix, **options)
    assert not miss(interval, largest_singular_value(matrix))
    # subnormal numbers have few digits; everything else certifies at the ladder's first rung
    assert interval.upper - interval.lower <= 1.1e-6 * interval.upper + 1e-323


@PATHS
@pytest.mark.parametrize("case", LARGE)
def test_holds_the_norm_of_float64_svd(case: str, options: dict[str, int]) -> None:
    matrix = LARGE[case]
    interval = spectral_norm(matrix, **options)
    assert not miss(interval, float(np.linalg.norm(matrix.astype(np.float64), 2)), slack=1e-12)
    assert interval.upper <= interval.lower * (1.0 + 1.1e-4)
    if not options:
        assert interval.confidence == 1.0


@PATHS
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (3, 5)])
def test_zero_and_empty(shape: tuple[int, int], options: dict[str, int]) -> None:
    assert spectral_norm(np.zeros(shape), **options) == Interval(0.0, 0.0)


def test_confidence_is_stated_and_never_certain() -> None:
    matrix = gaussian(30, 40)
    assert spectral_norm(matrix, gram_limit=29, delta=1e-3).confidence == 1.0 - 1e-3
    assert spectral_norm(matrix, gram_limit=29, delta=1e-30).confidence < 1.0
    assert spectral_norm(matrix, gram_limit=30).confidence == 1.0


def test_a_smaller_delta_is_no_narrower() -> None:
    matrix = gaussian(400, 400)
    uppers = [spectral_norm(matrix, gram_limit=0, delta=d).upper for d in (1e-3, 1e-12, 1e-60)]
    assert uppers == sorted(uppers)


def test_input_layout_does_not_matter_and_input_is_unchanged() -> None:
    matrix = gaussian(40, 30)
    before = matrix.copy()
    interval = spectral_norm(matrix)
    assert np.array_equal(matrix, before)
    strided = np.zeros((80, 60))
    strided[::2, ::2] = matrix
    for same in (np.asfortranarray(matrix), strided[::2, ::2], matrix[::-1], matrix.T):
        assert not miss(spectral_norm(same), interval.lower, slack=1e-9)
    frozen = matrix.copy()
    frozen.flags.writeable = False
    assert spectral_norm(frozen) == interval


def test_power_of_two_scales_exactly() -> None:
    matrix = gaussian(20, 20)
    one, scaled = spectral_norm(matrix), spectral_norm(matrix * 2.0**700)
    assert scaled.lower == one.lower * 2.0**700
    assert scaled.upper == one.upper * 2.0**700


@pytest.mark.parametrize(
    ("weight", "options", "text"),
    [
        (np.zeros(3), {}, "2 axes"),
        (np.zeros((2, 2, 2)), {}, "2 axes"),
        (np.array([[1.0, np.nan]]), {}, "NaN or infinite"),
        (np.array([[1.0, -np.inf]]), {}, "NaN or infinite"),
        (np.array([[1, 2]]), {}, "int64"),
        (np.array([[1j]]), {}, "complex128"),
        (np.full((3, 3), 1.7e308), {}, "largest float64"),
        (np.ones((2, 2)), {"delta": 0.0}, "delta"),
        (np.ones((2, 2)), {"delta": 1.0}, "delta"),
    ],
)
def test_refuses(weight: np.ndarray, options: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        spectral_norm(weight, **options)


def test_planted_shrunk_ends_are_caught() -> None:
    matrix = gaussian(6, 6)
    norm = largest_singular_value(matrix)
    interval = spectral_norm(matrix)
    width = interval.upper - interval.lower
    assert not miss(interval, norm)
    assert "upper" in miss(Interval(0.0, interval.upper - 1.01 * width), norm)
    assert "lower" in miss(Interval(interval.lower + 1.01 * width, 10.0 * interval.upper), norm)


def test_a_bigger_matrix_escapes_a_smaller_ones_interval() -> None:
    matrix = gaussian(6, 6)
    assert miss(spectral_norm(matrix), largest_singular_value(1.00001 * matrix))


@pytest.mark.parametrize("size", [2, 3, 10, 40])
@pytest.mark.parametrize("excess", [0.0, -1e-16, -1e-15, -1e-14, -1e-13, -1e-10, 1e-15, 1e-13])
def test_cholesky_margin_at_the_edge(size: int, excess: float) -> None:
    # ones(k, k) has the eigenvalue k and its negative is exact
    t = size * (1.0 + excess)
    shifted = t * np.eye(size) - np.ones((size, size))
    if positive_definite(shifted):
        assert t + cholesky_margin(size, t) >= size
    if positive_definite(shifted.astype(np.complex128)):
        assert t + cholesky_margin(size, t) >= size
    assert cholesky_margin(size, t) < 1e-11 * t


def test_no_certificate_below_the_norm() -> None:
    gram = np.diag([4.0, 1.0])
    assert _cholesky_upper(-gram, gram.diagonal(), 2.0, 0.0) == pytest.approx(2.0, rel=2e-6)
    assert _cholesky_upper(-gram, gram.diagonal(), 1.0, 0.0) == math.inf


def test_a_failed_certificate_falls_back_to_frobenius(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = gaussian(8, 9)
    monkeypatch.setattr("netdistance.linalg.spectral_norm.positive_definite", lambda _: False)
    interval = spectral_norm(matrix)
    assert interval.upper == pytest.approx(np.linalg.norm(matrix), rel=1e-12)
    assert not miss(interval, largest_singular_value(matrix))


def test_only_one_triangle_matters_and_nan_never_certifies() -> None:
    assert positive_definite(np.array([[2.0, 1.0], [99.0, 2.0]]))
    assert not positive_definite(np.array([[2.0, np.nan], [0.0, 2.0]]))


def test_frobenius_and_quotient_are_one_sided() -> None:
    for seed in range(50):
        matrix = gaussian(5, 7, seed=seed)
        squares = [float(x) ** 2 for x in matrix.ravel()]
        assert frobenius_above(matrix) >= math.sqrt(math.fsum(squares))
        vector = matrix[0]
        assert quotient_below(3.0 * vector, vector, gamma(1)) <= 3.0
    assert quotient_below(np.ones(2), np.zeros(2), 0.0) == 0.0


def failures(steps: int, failure: float, draws: int) -> int:
    """How many bounds of the squared norm fail over random starts.

    A Gaussian matrix is as good as rotated at random, which is a random start for a fixed one.
    """
    count = 0
    for seed in range(draws):
        matrix = gaussian(30, 24, seed=seed)
        matrix[:, 0] *= 2.0
        rotated = matrix @ np.linalg.qr(gaussian(24, 24, seed=seed + draws))[0]
        lanczos = Lanczos(lambda block, m=rotated: (block @ m.T) @ m, 24, 1, steps)
        lanczos.extend(steps)
        bound = polynomial_bound(lanczos, 0, failure, 1e-12)
        count += bool(bound < np.linalg.norm(rotated, 2) ** 2)
    return count


@pytest.mark.parametrize(("steps", "failure"), [(1, 0.05), (3, 0.05), (6, 0.05), (3, 0.5)])
def test_polynomial_bound_covers(steps: int, failure: float) -> None:
    draws = 400
    allowed = draws * failure + 4.0 * math.sqrt(draws * failure * (1.0 - failure))
    assert failures(steps, failure, draws) <= allowed


def test_the_coverage_count_can_fail() -> None:
    # a failure probability above 1 asks for nothing: the count must see those bounds fail
    assert failures(2, 8.0, 100) > 50


@pytest.mark.slow
def test_large_gaussian_on_both_paths() -> None:
    matrix = gaussian(1500, 1200)
    norm = float(np.linalg.norm(matrix, 2))
    for options in (GRAM, POLYNOMIAL):
        interval = spectral_norm(matrix, **options)
        assert not miss(interval, norm, slack=1e-11)
        assert interval.upper <= 1.001 * interval.lower
