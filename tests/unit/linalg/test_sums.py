"""Sums of a pair: exact where they can be, scaled where they must be, and additive."""

from __future__ import annotations

import math
import warnings

import mpmath
import numpy as np
import pytest

from netdistance.linalg.leaves import LEAF_ELEMENTS
from netdistance.linalg.sums import PairSums, SumOfSquares, Workspace
from tests.cases.tensor_pairs import draw
from tests.oracles.pair_distances import integers


def relative_error(norm: float, x: np.ndarray) -> float:
    """How far a norm is from its exact value, by integers and 50 digits."""
    with mpmath.workdps(50):
        exact = mpmath.sqrt(sum(v * v for v in integers(x))) / (1 << 1074)
        return float(abs(norm - exact) / exact)


def norm(x: np.ndarray) -> float:
    squares = SumOfSquares.of(x)
    assert squares is not None
    return squares.norm


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 20_000])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e150, 1e-170, 1e-310, 1e304])
def test_norm_is_within_the_bar(size: int, scale: float) -> None:
    x = scale * draw(size)
    assert relative_error(norm(x), x) < 1e-14


def test_a_planted_error_of_a_norm_is_found() -> None:
    x = draw(1000)
    assert relative_error(norm(x) * (1 + 1e-13), x) > 5e-14
    assert relative_error(float(np.sqrt(np.sum(x.astype(np.float32) ** 2))), x) > 1e-9


def test_norm_of_nothing_and_of_zeros() -> None:
    assert norm(np.empty(0)) == norm(np.zeros(5)) == 0.0
    assert SumOfSquares().norm == 0.0


def test_norm_beyond_float64_is_infinite_and_its_ratio_is_not() -> None:
    large = SumOfSquares.of(np.full(100, 1.7e308))
    half = SumOfSquares.of(np.full(100, 0.85e308))
    assert large is not None and half is not None
    assert large.norm == math.inf
    assert half.relative_to(large) == 0.5
    tiny = SumOfSquares.of(np.full(100, 2.0**-1070))
    assert tiny is not None
    assert large.relative_to(tiny) == math.inf
    assert tiny.relative_to(large) == 0.0
    assert large.log10_relative_to(tiny) == pytest.approx(
        math.log10(1.7e308) + 1070 * math.log10(2)
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_sum(bad: float) -> None:
    assert SumOfSquares.of(np.array([1.0, bad])) is None
    sums = PairSums.of(np.array([1.0, bad, 2.0]), np.array([1.0, 2.0, bad]))
    assert (sums.elements, sums.non_finite_a, sums.non_finite_b, sums.finite) == (3, 1, 1, False)
    assert not (sums + PairSums.of(np.ones(1), np.ones(1))).finite


def test_leaves_are_counted_from_the_start() -> None:
    squares = SumOfSquares.of(np.ones(2 * LEAF_ELEMENTS + 3))
    assert squares is not None
    assert squares.leaves == (float(LEAF_ELEMENTS), float(LEAF_ELEMENTS), 3.0)
    assert squares.exponent == 0


def test_parts_of_different_scales_add() -> None:
    parts = [SumOfSquares.of(np.array([x])) for x in (3e200, 4e200, 1.0, 1e-250, 0.0)]
    total = SumOfSquares()
    for part in parts:
        assert part is not None
        total = total + part
    assert total.norm == pytest.approx(5e200, rel=1e-15)
    assert len(total.leaves) == len(parts)


def test_the_sum_of_pairs_adds_every_field() -> None:
    first = PairSums.of(np.array([1.0, 2.0]), np.array([1.0, 5.0]))
    second = PairSums.of(np.array([1.0]), np.array([np.nan]))
    both = first + second
    assert (both.elements, both.changed, both.max_abs_difference) == (3, 2, 3.0)
    assert (both.non_finite_a, both.non_finite_b) == (0, 1)
    assert first + PairSums() == PairSums() + first == first


def test_a_workspace_may_be_used_again_for_anything_smaller_or_larger() -> None:
    work = Workspace()
    for size in (10, 3, 5000, 1, 0, 70_000):
        a, b = draw(size), draw(size, 1)
        assert PairSums.of(a, b, work) == PairSums.of(a, b)


def test_the_arrays_given_are_not_changed() -> None:
    a, b = draw(100), draw(100, 1)
    before = a.copy(), b.copy()
    a.flags.writeable = b.flags.writeable = False
    PairSums.of(a, b)
    assert np.array_equal(a, before[0]) and np.array_equal(b, before[1])


def test_nothing_warns() -> None:
    signalling = np.array([0x7F800001, 1], np.uint32).view(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PairSums.of(signalling, signalling)
        PairSums.of(np.full(9, 1.7e308), np.full(9, -1.7e308))
        PairSums.of(np.full(LEAF_ELEMENTS * 4, 1.7e152), np.full(LEAF_ELEMENTS * 4, 5e-324))


def test_a_difference_beyond_float64_keeps_its_ratio() -> None:
    sums = PairSums.of(np.full(9, 1.7e308), np.full(9, -1.7e308))
    assert sums.max_abs_difference == math.inf
    assert sums.difference.relative_to(sums.a) == 2.0


@pytest.mark.parametrize(
    ("a", "b"), [((2, 2), (2, 2)), ((3,), (4,)), ((), ())], ids=["matrices", "lengths", "scalars"]
)
def test_other_shapes_are_refused(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two equally long 1-D arrays"):
        PairSums.of(np.ones(a), np.ones(b))


@pytest.mark.parametrize("elements", [1, 4, 7])
def test_real_numbers_face_complex_ones(elements: int) -> None:
    real = np.full(elements, 3, np.float32)
    for a, b in ((real, real + 4j), (real + 4j, real)):
        sums = PairSums.of(a, b)
        assert sums.max_abs_a == abs(a[0]) and sums.max_abs_difference == 4.0
    large = np.full(elements, 1e308)
    assert PairSums.of(large * (1 + 1j), -large).difference.norm == math.inf


def test_complex_numbers_count_once_and_differ_by_their_modulus() -> None:
    sums = PairSums.of(np.array([1 + 1j, 2j]), np.array([4 + 5j, 2j]))
    assert (sums.elements, sums.changed, sums.max_abs_difference) == (2, 1, 5.0)
    assert sums.difference.norm == 5.0
    assert PairSums.of(np.array([complex(np.nan, np.inf)]), np.array([0j])).non_finite_a == 1
