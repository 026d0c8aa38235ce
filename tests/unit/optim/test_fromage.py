"""Fromage against the formula of the paper, typed in float64, and what is its own alone."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from netdistance.optim import Fromage
from tests.oracles.layerwise import formula, parameter, random_pair

ETA = 0.01


@pytest.mark.parametrize("correction", [True, False])
@pytest.mark.parametrize("shape", [(1,), (7,), (5, 3), (4, 3, 3, 3)])
def test_one_step_is_the_formula(shape, correction):
    weight = random_pair(*shape)
    expected = formula(weight.detach(), weight.grad, ETA, correction=correction)
    gradient = weight.grad.clone()
    Fromage([weight], lr=ETA, stability_correction=correction).step()
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-14, atol=1e-15)
    assert torch.equal(weight.grad, gradient)


def test_the_formula_would_catch_a_wrong_rule():
    weight = random_pair(5, 3)
    wrong = formula(weight.detach(), weight.grad, ETA, correction=False)
    Fromage([weight], lr=ETA).step()
    assert not np.allclose(weight.detach().numpy(), wrong, rtol=1e-6, atol=0.0)


def test_tensors_are_layers_of_their_own():
    first, second = random_pair(4, 4, seed=1), random_pair(4, seed=2, scale=1e6)
    expected = [formula(p.detach(), p.grad, ETA) for p in (first, second)]
    Fromage([first, second], lr=ETA).step()
    np.testing.assert_allclose(first.detach().numpy(), expected[0], rtol=1e-14)
    np.testing.assert_allclose(second.detach().numpy(), expected[1], rtol=1e-14)


@pytest.mark.parametrize("layout", ["contiguous", "transposed", "channels_last"])
def test_the_layout_in_memory_does_not_matter(layout):
    weight = random_pair(6, 8, 3, 3)
    expected = formula(weight.detach(), weight.grad, ETA)
    if layout == "transposed":
        weight = parameter(weight.detach().mT.contiguous().mT, weight.grad)
    if layout == "channels_last":
        weight = parameter(
            weight.detach().to(memory_format=torch.channels_last), weight.grad.clone()
        )
    assert weight.is_contiguous() == (layout == "contiguous")
    Fromage([weight], lr=ETA).step()
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-13, atol=1e-15)


def test_norms_of_many_float32_elements_do_not_drift():
    # one float32 accumulator is off by 8e-5 here, and the step with it
    weight = random_pair(2**22, dtype=torch.float32)
    before = weight.detach().double()
    Fromage([weight], lr=0.5, stability_correction=False).step()
    realised = float((weight.detach().double() - before).norm() / before.norm())
    assert realised == pytest.approx(0.5, rel=5e-6)


@pytest.mark.parametrize("correction", [True, False])
def test_norm_under_a_scale_invariant_loss(correction):
    weight = nn.Parameter(torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64))
    target = torch.tensor([0.3, 1.0, -1.0, 0.2], dtype=torch.float64)
    optimizer = Fromage([weight], lr=ETA, stability_correction=correction)
    start = float(weight.detach().norm())
    for _ in range(2000):
        optimizer.zero_grad()
        (-(weight @ target) / weight.norm()).backward()
        optimizer.step()
    expected = 1.0 if correction else (1.0 + ETA**2) ** 1000
    assert float(weight.detach().norm()) / start == pytest.approx(expected, rel=1e-12)


def test_a_reduced_precision_state_keeps_its_norm():
    weight = random_pair(64, 64, dtype=torch.bfloat16)
    optimizer = Fromage([weight], p_bound=2.0)
    optimizer.step()
    norm = optimizer.state[weight]["initial_norm"]
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.state[weight]["initial_norm"] == norm


def test_an_old_pickle_takes_defaults():
    optimizer = Fromage([random_pair(2)])
    state = optimizer.__getstate__()
    for key in ("p_bound", "stability_correction", "maximize"):
        del state["param_groups"][0][key]
    optimizer.__setstate__(state)
    optimizer.step()
    assert optimizer.param_groups[0]["stability_correction"] is True


@pytest.mark.parametrize(("dtype", "rel"), [(torch.float16, 1e-3), (torch.bfloat16, 8e-3)])
def test_half_precisions(dtype, rel):
    # |W| is 131072, beyond float16's largest number 65504
    weight = parameter(torch.full((256, 256), 512.0), torch.ones(256, 256), dtype)
    Fromage([weight], lr=0.25).step()
    expected = formula(np.full((256, 256), 512.0), np.ones((256, 256)), 0.25)
    assert weight.dtype == dtype
    np.testing.assert_allclose(weight.detach().float().numpy(), expected, rtol=rel)


def test_complex_is_the_real_pair():
    pair = random_pair(5, 3, 2)
    both = torch.view_as_complex(pair.detach().clone())
    weight = parameter(both, torch.view_as_complex(pair.grad.clone()), torch.complex128)
    Fromage([pair], lr=ETA, p_bound=1.0).step()
    Fromage([weight], lr=ETA, p_bound=1.0).step()
    assert torch.equal(torch.view_as_real(weight.detach()), pair.detach())


@pytest.mark.parametrize("lr", [0.1, torch.tensor(0.1)])
def test_a_scheduler_changes_step_and_correction(lr):
    weight = random_pair(4, 4)
    optimizer = Fromage([weight], lr=lr)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    optimizer.step()
    scheduler.step()
    expected = formula(weight.detach(), weight.grad, 0.05)
    optimizer.step()
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-8)


def test_p_bound_caps_the_norm_per_group():
    free, bound = random_pair(6, seed=1), random_pair(6, seed=1)
    for weight in (free, bound):
        weight.grad = -weight.detach()
    start = float(bound.detach().norm())
    optimizer = Fromage([{"params": [free]}, {"params": [bound], "p_bound": 1.5}], lr=0.1)
    for _ in range(50):
        optimizer.step()
    assert float(bound.detach().norm()) == pytest.approx(1.5 * start, rel=1e-12)
    assert float(free.detach().norm()) > 2.0 * start


def test_p_bound_does_not_pin_a_tensor_that_starts_at_zero():
    weight = parameter([0.0, 0.0], [3.0, -4.0])
    optimizer = Fromage([weight], lr=0.1, p_bound=1.0)
    for _ in range(3):
        optimizer.step()
    assert float(weight.detach().norm()) > 0.4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -0.1}, "Invalid learning rate: -0.1"),
        ({"lr": math.nan}, "Invalid learning rate: nan"),
        ({"lr": torch.ones(2)}, "Tensor lr must be 1-element"),
        ({"p_bound": 0.0}, "Invalid p_bound value: 0.0"),
    ],
)
def test_hyper_parameters_are_validated(options, message):
    with pytest.raises(ValueError, match=message):
        Fromage([random_pair(2)], **options)
    with pytest.raises(ValueError, match=message):
        Fromage([{"params": [random_pair(2)], **options}])
