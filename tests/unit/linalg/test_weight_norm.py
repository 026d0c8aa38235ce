"""The norm of a tensor of unknown options, against dense matrices with every option."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from netdistance.linalg import weight_norm as module
from netdistance.linalg.conv_norm import conv_norm
from netdistance.linalg.weight_norm import WeightNorms, weight_norm
from tests.oracles.dense_convolution import dense_convolution
from tests.oracles.singular_values import miss


def gaussian(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def symbol_norm(kernel: np.ndarray, points: int) -> float:
    """The largest |K^(w)|_2 on a grid of frequencies, by numpy's FFT and SVD."""
    axes = tuple(range(2, kernel.ndim))
    symbol = np.moveaxis(np.fft.fftn(kernel, (points,) * len(axes), axes), (0, 1), (-2, -1))
    return float(np.linalg.svd(symbol, compute_uv=False).max())


ONE_AXIS = list(itertools.product((1, 2, 3), (0, 1, 2), (1, 2), (1, 2, 4)))


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), ONE_AXIS)
def test_the_upper_end_holds_for_every_option(
    stride: int, padding: int, dilation: int, groups: int
) -> None:
    kernel = gaussian(4, 3, 3, seed=stride + 10 * padding)
    # every group alike: then groups cost the most, a factor of sqrt(groups)
    for weight in (kernel, np.repeat(kernel[:1], 4, axis=0)):
        options = ((stride,), (padding,), (dilation,), groups)
        norm = np.linalg.norm(dense_convolution(weight, *options, (9,)), 2)
        assert norm <= weight_norm(weight).upper


TWO_AXES = [((1, 1), (1, 1), (1, 1)), ((2, 1), (0, 2), (1, 2)), ((2, 3), (2, 1), (2, 1))]


@pytest.mark.parametrize(("stride", "padding", "dilation"), TWO_AXES)
@pytest.mark.parametrize("groups", [1, 2])
def test_the_upper_end_holds_on_two_axes(
    stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int], groups: int
) -> None:
    weight = gaussian(4, 2, 3, 2)
    dense = dense_convolution(weight, stride, padding, dilation, groups, (6, 5))
    assert np.linalg.norm(dense, 2) <= weight_norm(weight).upper


def test_the_norm_of_groups_is_at_most_sqrt_groups_below() -> None:
    weight = np.repeat(gaussian(1, 1, 3), 4, axis=0)
    ungrouped, grouped = weight_norm(weight), conv_norm(weight, groups=4)
    assert ungrouped.upper >= grouped.lower
    assert ungrouped.lower <= 2.0 * grouped.upper
    assert ungrouped.lower > 1.9 * grouped.upper, "the case that reaches the factor"


def test_circular_padding_is_covered() -> None:
    weight = gaussian(3, 2, 3)
    circulant = np.zeros((3, 5, 2, 5))
    for tap, at in itertools.product(range(3), range(5)):
        circulant[:, at, :, (at + tap) % 5] += weight[:, :, tap]
    assert np.linalg.norm(circulant.reshape(15, 10), 2) <= weight_norm(weight).upper


@pytest.mark.parametrize("shape", [(3, 4, 3), (4, 2, 2, 3), (2, 3, 2, 2, 2), (5, 1, 7)])
def test_the_interval_holds_the_supremum_over_frequencies(shape: tuple[int, ...]) -> None:
    weight = gaussian(*shape)
    interval, seen = weight_norm(weight), symbol_norm(weight, 60)
    assert seen <= interval.upper <= 1.05 * interval.lower
    assert interval.lower <= 1.02 * seen


@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 1), (6, 9, 1, 1)])
def test_a_matrix_and_a_kernel_of_one_tap_are_the_same(shape: tuple[int, ...]) -> None:
    weight = gaussian(6, 9)
    norm = float(np.linalg.svd(weight, compute_uv=False)[0])
    assert miss(weight_norm(weight.reshape(shape)), norm, 1e-12) == ""


@pytest.mark.parametrize("shape", [(3, 4, 5), (6, 2, 3, 3), (1, 1, 8)])
def test_the_reshape_interval_holds_the_symbol(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = gaussian(*shape)
    fine = weight_norm(weight)
    monkeypatch.setattr(module, "_MOST_FLOPS", 0.0)
    coarse = weight_norm(weight)
    assert coarse.lower <= fine.upper and fine.lower <= coarse.upper
    assert coarse.lower <= symbol_norm(weight, 120) * 1.001
    assert coarse.upper >= symbol_norm(weight, 120)


def test_the_reshape_interval_reaches_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_FLOPS", 0.0)
    sum_of_taps, one_tap = np.ones((1, 1, 9)), np.eye(9)[:1, None]
    assert weight_norm(sum_of_taps).upper <= 9.0 * (1.0 + 1e-5)
    assert weight_norm(one_tap).lower >= 1.0 - 1e-5


@pytest.mark.parametrize("shape", [(2, 2, 100_000), (4, 4, 40, 40, 40), (3, 70_000, 5)])
def test_a_shape_that_costs_too_much_ends_soon(shape: tuple[int, ...]) -> None:
    weight = gaussian(*shape).astype(np.float32)
    interval = weight_norm(weight)
    taps = np.prod(shape[2:])
    assert 0.0 < interval.lower <= interval.upper <= 1.01 * np.sqrt(taps) * interval.lower


@pytest.mark.parametrize("weight", [np.ones(3), np.ones((0, 3)), np.ones((2, 2, 0))])
def test_what_has_no_norm(weight: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected two or more axes"):
        weight_norm(weight)


@pytest.mark.parametrize("scale", [2.0**-1040, 2.0**-700, 2.0**600, 2.0**1010])
def test_norms_at_the_ends_of_float64(scale: float) -> None:
    weight = np.round(gaussian(8, 8) * 1024) / 1024
    norms, plain = WeightNorms.of(weight * scale), WeightNorms.of(weight)
    assert norms.exponent != 0 and plain.exponent == 0
    found, expected = norms.operator_norm, plain.operator_norm
    assert found.lower <= scale * expected.upper and scale * expected.lower <= found.upper


def test_a_norm_beyond_float64_is_refused_and_its_ratio_is_not() -> None:
    norms = WeightNorms.of(np.full((4, 4), 1.7e308))
    with pytest.raises(ValueError, match="largest float64"):
        _ = norms.operator_norm
    assert norms.operator.upper < 8.0


def test_the_rounding_of_a_difference_is_inside() -> None:
    """Entries of b vanish in part beside those of a: fl(b - a) is not b - a."""
    a, b = gaussian(6, 6), gaussian(6, 6, seed=1) * 1e-9
    norms = WeightNorms.of_difference(a, b)
    exact = np.linalg.norm(b.astype(np.longdouble) - a.astype(np.longdouble), axis=None)
    assert norms.frobenius.lower <= exact <= norms.frobenius.upper


def test_a_zero_difference_is_exactly_zero() -> None:
    weight = gaussian(3, 3, 3)
    norms = WeightNorms.of_difference(weight, weight.copy())
    assert norms.is_zero


def test_a_difference_beyond_float64_is_refused() -> None:
    with pytest.raises(ValueError, match="difference exceeds"):
        WeightNorms.of_difference(np.full((2, 2), -1.7e308), np.full((2, 2), 1.7e308))
