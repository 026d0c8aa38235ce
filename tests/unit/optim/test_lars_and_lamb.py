"""LARS and LAMB against loops typed from their papers, and what is their own alone."""

import numpy as np
import pytest
import torch

from netdistance.optim import LAMB, LARS, Fromage
from tests.oracles.layerwise import formula, lamb_loop, lars_loop, parameter, random_pair


def gradients(*shape, steps=10):
    return np.random.default_rng(7).standard_normal((steps, *shape))


def follow(weight, optimizer, all_gradients):
    for gradient in all_gradients:
        weight.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    return weight.detach().numpy()


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("capturable", [False, True])
def test_ten_steps_of_lars_are_the_papers(momentum, weight_decay, capturable):
    weight, many = random_pair(5, 3), gradients(5, 3)
    options = {"momentum": momentum, "weight_decay": weight_decay}
    expected = lars_loop(weight.detach(), many, 0.02, **options)
    optimizer = LARS([weight], lr=0.02, capturable=capturable, **options)
    np.testing.assert_allclose(follow(weight, optimizer, many), expected, rtol=1e-12)


@pytest.mark.parametrize("weight_decay", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("clamp", [None, (0.0, 2.0)])
@pytest.mark.parametrize("capturable", [False, True])
def test_ten_steps_of_lamb_are_the_papers(weight_decay, clamp, capturable):
    weight, many = random_pair(5, 3), gradients(5, 3)
    options = {"betas": (0.8, 0.99), "eps": 1e-3, "weight_decay": weight_decay, "clamp": clamp}
    expected = lamb_loop(weight.detach(), many, 0.02, **options)
    optimizer = LAMB([weight], lr=0.02, capturable=capturable, **options)
    np.testing.assert_allclose(follow(weight, optimizer, many), expected, rtol=1e-12)


def test_the_loops_would_catch_a_wrong_rule():
    weight, many = random_pair(5, 3), gradients(5, 3)
    options = {"betas": (0.8, 0.99), "eps": 1e-3, "weight_decay": 0.0}
    right = lamb_loop(weight.detach(), many, 0.02, **options)
    no_correction = lamb_loop(weight.detach(), many, 0.02, **{**options, "eps": 0.0})
    assert not np.allclose(right, no_correction, rtol=1e-9)
    coupled = lars_loop(weight.detach(), many, 0.02, momentum=0.0, weight_decay=0.05)
    plain = lars_loop(weight.detach(), many, 0.02, momentum=0.0, weight_decay=0.0)
    assert not np.allclose(coupled, plain, rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 1e-30])
def test_plain_lars_is_fromage_without_correction_bit_for_bit(dtype, scale):
    first, second = (random_pair(7, 5, scale=scale, dtype=dtype) for _ in "ab")
    lars = LARS([first], lr=0.01)
    fromage = Fromage([second], lr=0.01, stability_correction=False)
    for _ in range(5):
        lars.step()
        fromage.step()
    assert torch.equal(first, second)


def test_one_step_of_lamb_has_the_size_lr():
    weight = random_pair(6, 4)
    before = weight.detach().clone()
    LAMB([weight], lr=0.03).step()
    assert float((weight.detach() - before).norm() / before.norm()) == pytest.approx(0.03, 1e-13)


def test_lamb_on_equal_magnitudes_is_plain_lars():
    # Adam's first direction is the sign, and here the gradient is one
    weight = parameter([[1.0, 2.0], [3.0, 4.0]], [[1.0, -1.0], [1.0, 1.0]])
    expected = formula(weight.detach(), weight.grad, 0.1, correction=False)
    LAMB([weight], lr=0.1, eps=0.0, weight_decay=0.0).step()
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-14)


@pytest.mark.parametrize("kind", [LARS, LAMB])
def test_a_zero_gradient_and_no_decay_move_nothing(kind):
    weight = parameter([1.0, 2.0], [0.0, 0.0])
    kind([weight], lr=0.1, weight_decay=0.0).step()
    assert weight.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(("kind", "decay"), [(LARS, 0.5), (LAMB, 0.5)])
def test_a_zero_gradient_with_decay_shrinks_by_lr(kind, decay):
    weight = parameter([1.0, 2.0], [0.0, 0.0])
    kind([weight], lr=0.1, weight_decay=decay).step()
    assert weight.tolist() == pytest.approx([0.9, 1.8], rel=1e-14)


def test_a_zero_weight_takes_the_plain_step():
    lars, lamb = parameter([0.0, 0.0], [3.0, -4.0]), parameter([0.0, 0.0], [3.0, -4.0])
    LARS([lars], lr=0.1, momentum=0.9).step()
    LAMB([lamb], lr=0.1, eps=0.0).step()
    assert lars.tolist() == [-0.1 * 3.0, 0.1 * 4.0]
    assert lamb.tolist() == pytest.approx([-0.1, 0.1], rel=1e-14)


def test_a_bfloat16_weight_has_float32_moments_that_move():
    # in bfloat16 a second moment at rest could not change by a thousandth of itself
    weight = random_pair(8, 8, dtype=torch.bfloat16)
    optimizer = LAMB([weight], lr=0.01)
    for _ in range(20):
        optimizer.step()
    assert optimizer.state[weight]["exp_avg_sq"].dtype == torch.float32
    expected = (1.0 - 0.999**20) * weight.grad.float() ** 2
    assert torch.allclose(optimizer.state[weight]["exp_avg_sq"], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (LARS, {"momentum": -0.1}, "Invalid momentum value: -0.1"),
        (LARS, {"weight_decay": float("nan")}, "Invalid weight_decay value: nan"),
        (LAMB, {"betas": (0.9, 1.0)}, "Invalid beta parameter at index 1: 1.0"),
        (LAMB, {"eps": -1.0}, "Invalid eps value: -1.0"),
        (LAMB, {"clamp": (2.0, 1.0)}, r"Invalid clamp value: \(2.0, 1.0\)"),
    ],
)
def test_hyper_parameters_are_validated(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind([random_pair(2)], **options)


def test_momentum_goes_on_where_the_gradient_is_zero():
    weight = parameter([3.0, 4.0], [-0.8, 0.6])
    optimizer = LARS([weight], lr=0.5, momentum=0.9)
    optimizer.step()  # V = 0.5 * 5 / 1 g = (-2, 1.5)
    assert weight.tolist() == pytest.approx([5.0, 2.5])
    weight.grad.zero_()
    optimizer.step()  # V = 0.9 (-2, 1.5)
    assert weight.tolist() == pytest.approx([6.8, 1.15])
