"""The stable rank against all singular values, in float64 and in 60 digits."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from netdistance.linalg.spectral_norm import spectral_norm
from netdistance.linalg.stable_rank import frobenius_interval, stable_rank
from netdistance.quantities import Interval
from tests.oracles.singular_values import largest_singular_value, miss


def gaussian(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


MATRICES = {
    "gaussian": gaussian(40, 30),
    "tall": gaussian(500, 3),
    "one row": gaussian(1, 50),
    "rank one": np.outer(gaussian(20), gaussian(30, seed=1)),
    "flat": np.linalg.qr(gaussian(24, 24))[0],
    "outlier": gaussian(30, 30) + 1e6 * np.outer(np.ones(30), np.ones(30)),
    "float32": gaussian(33, 17).astype(np.float32),
    "float16": gaussian(33, 17).astype(np.float16),
}


@pytest.mark.parametrize("name", MATRICES)
def test_against_every_singular_value(name: str) -> None:
    matrix = MATRICES[name]
    values = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    found = stable_rank(frobenius_interval(matrix), spectral_norm(matrix))
    assert miss(found, float((values**2).sum() / values[0] ** 2), 1e-12) == ""
    assert found.upper - found.lower <= 1e-3 * found.upper
    assert found.upper <= min(matrix.shape) * (1.0 + 1e-3)


def test_against_sixty_digits() -> None:
    matrix = gaussian(7, 5)
    norm = largest_singular_value(matrix)
    exact = mpmath.mpf(1) * sum(Fraction(x) ** 2 for x in matrix.ravel().tolist()).numerator
    exact /= sum(Fraction(x) ** 2 for x in matrix.ravel().tolist()).denominator
    with mpmath.workdps(60):
        reference = exact / norm**2
    assert miss(stable_rank(frobenius_interval(matrix), spectral_norm(matrix)), reference) == ""


@pytest.mark.parametrize("scale", [1.0, 1e-170, 1e170, 1e-310])
def test_frobenius_holds_the_exact_root(scale: float) -> None:
    weight = scale * gaussian(3, 4099)
    exact = sum(Fraction(x) ** 2 for x in weight.ravel().tolist())
    found = frobenius_interval(weight)
    assert Fraction(found.lower) ** 2 <= exact <= Fraction(found.upper) ** 2
    assert found.upper <= found.lower * (1.0 + 1e-11)


def test_frobenius_over_several_blocks() -> None:
    weight = np.ones((3, 1 << 20), dtype=np.float32)
    found = frobenius_interval(weight)
    assert Fraction(found.lower) ** 2 <= 3 * (1 << 20) <= Fraction(found.upper) ** 2


def test_a_zero_tensor_has_no_stable_rank() -> None:
    assert frobenius_interval(np.zeros((2, 2))) == Interval(0.0, 0.0)
    with pytest.raises(ValueError):
        stable_rank(Interval(0.0, 0.0), Interval(0.0, 0.0))


def test_frobenius_refuses_what_is_no_number() -> None:
    with pytest.raises(ValueError, match="finite"):
        frobenius_interval(np.array([[1.0, np.nan]]))
