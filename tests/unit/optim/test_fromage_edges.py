"""Fromage where its formula has no meaning or no room: zeros, denormals, extremes, NaN."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from netdistance.optim import Fromage
from tests.oracles.layerwise import formula, parameter, random_pair

ETA = 0.01


def test_a_zero_weight_takes_the_plain_step():
    weight = parameter([0.0, 0.0], [3.0, -4.0])
    Fromage([weight], lr=0.1).step()
    assert weight.tolist() == [-0.1 * 3.0, 0.1 * 4.0]


def test_a_zero_gradient_moves_nothing_at_all():
    weight = parameter([1.0, 2.0], [0.0, 0.0])
    Fromage([weight], lr=0.1, p_bound=0.5).step()
    assert weight.tolist() == [1.0, 2.0]


def test_a_frozen_parameter_and_an_empty_one_are_left_alone():
    frozen = nn.Parameter(torch.ones(3))
    empty = parameter(torch.zeros(0, 4), torch.zeros(0, 4))
    optimizer = Fromage([frozen, empty], p_bound=1.0)
    optimizer.step()
    assert frozen.tolist() == [1.0, 1.0, 1.0]
    assert optimizer.state_dict()["state"] == {}


@pytest.mark.parametrize("tiny", [1e-40, 1e-45])
@pytest.mark.parametrize("size", [1, 4])
def test_a_denormal_gradient_is_a_direction(tiny, size):
    weight = parameter([2.0] * size, [tiny] * size, torch.float32)
    expected = formula([2.0] * size, [1.0] * size, ETA)
    Fromage([weight], lr=ETA).step()
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("exponent", [-300, -160, -20, 0, 20, 160, 300])
def test_the_scale_of_the_gradient_does_not_matter(exponent):
    expected, weight = random_pair(5, 3), random_pair(5, 3)
    weight.grad *= 10.0**exponent
    Fromage([expected], lr=ETA).step()
    Fromage([weight], lr=ETA).step()
    np.testing.assert_allclose(weight.detach(), expected.detach(), rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1e22, 1e37])
def test_the_scale_of_a_float32_weight_does_not_matter(scale):
    weight = random_pair(5, 3)
    expected = scale * formula(weight.detach(), weight.grad, ETA)
    moved = parameter(scale * weight.detach(), weight.grad, torch.float32)
    Fromage([moved], lr=ETA).step()
    np.testing.assert_allclose(moved.detach().numpy(), expected, rtol=2e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_non_finite_gradient_shows_and_does_not_crash(bad):
    weight = parameter([1.0, 2.0], [1.0, bad], torch.float32)
    Fromage([weight]).step()
    assert weight.isnan().all()
    Fromage([weight]).step()


def test_a_huge_learning_rate_does_not_crash():
    weight = random_pair(5, 3, dtype=torch.float32)
    optimizer = Fromage([weight], lr=1e30)
    for _ in range(3):
        optimizer.step()


@pytest.mark.parametrize("lr", [0.5, 2.0, 1e3, 1e6])
def test_a_step_that_leaves_little_of_the_tensor_loses_no_digits(lr):
    weight = parameter([3.0, 4.0], [0.0, 1.0], torch.float32)
    Fromage([weight], lr=lr).step()
    growth = math.hypot(1.0, lr)
    assert weight.tolist() == pytest.approx([3.0 / growth, (4.0 - 5.0 * lr) / growth], rel=1e-6)
