"""The monitor's numbers against ones computed by hand, around any optimiser."""

import gc
import math
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from netdistance.optim import Fromage, RelativeStepMonitor
from tests.oracles.layerwise import parameter, random_pair


class Heard(list):
    def __call__(self, relative, log1p_sum):
        self.append((relative, log1p_sum))


def test_it_is_the_step_by_hand_around_sgd():
    weight, bias = random_pair(4, 3, seed=1), random_pair(3, seed=2)
    expected = {
        name: 0.1 * np.linalg.norm(p.grad.ravel()) / np.linalg.norm(p.detach().ravel())
        for name, p in (("weight", weight), ("bias", bias))
    }
    optimizer, heard = torch.optim.SGD([weight, bias], lr=0.1), Heard()
    with RelativeStepMonitor(optimizer, [("weight", weight), ("bias", bias)], heard):
        optimizer.step()
    ((relative, log1p_sum),) = heard
    assert relative == pytest.approx(expected, rel=1e-12)
    # trust is over the matrices alone
    assert log1p_sum == pytest.approx(math.log1p(expected["weight"]), rel=1e-12)


def test_it_is_lr_around_fromage():
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    optimizer = Fromage(model.parameters(), lr=0.03, stability_correction=False)
    heard = Heard()
    with RelativeStepMonitor(optimizer, model, heard):
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(2, 3, dtype=torch.float64)).square().sum().backward()
            optimizer.step()
    assert len(heard) == 3
    for relative, log1p_sum in heard:
        assert relative == pytest.approx(dict.fromkeys(relative, 0.03), rel=1e-12)
        assert list(relative) == ["0.weight", "0.bias", "2.weight", "2.bias"]
        assert log1p_sum == pytest.approx(2.0 * math.log1p(0.03), rel=1e-12)


def test_a_step_lost_in_bfloat16_shows():
    weight = parameter(torch.full((4, 4), 256.0), torch.ones(4, 4), torch.bfloat16)
    optimizer, heard = torch.optim.SGD([weight], lr=0.5), Heard()
    with RelativeStepMonitor(optimizer, [("weight", weight)], heard):
        optimizer.step()
    assert heard == [({"weight": 0.0}, 0.0)]


def test_zero_tensors_complex_ones_and_nameless_ones():
    still, leaving = parameter([[0.0]], [[0.0]]), parameter([[0.0]], [[1.0]])
    both = parameter([3.0 + 4.0j], [5.0j], torch.complex128)
    frozen = nn.Parameter(torch.ones(2), requires_grad=False)
    optimizer = torch.optim.SGD([still, leaving, both, frozen], lr=1.0)
    heard = Heard()
    with RelativeStepMonitor(optimizer, [("still", still)], heard):
        optimizer.step()
    names = ["still", "group 0, parameter 1", "group 0, parameter 2"]
    assert heard == [(dict(zip(names, [0.0, math.inf, 1.0], strict=True)), math.inf)]


def test_a_gradient_made_in_the_closure_counts():
    weight = nn.Parameter(torch.tensor([[3.0, 4.0]]))
    optimizer, heard = torch.optim.SGD([weight], lr=0.5), Heard()

    def closure():
        loss = 0.5 * weight.square().sum()
        loss.backward()
        return loss

    with RelativeStepMonitor(optimizer, [("weight", weight)], heard):
        optimizer.step(closure)
    assert heard[0][0] == {"weight": 0.5}


def test_nothing_stays_after_a_step_or_after_it_is_removed():
    weight = random_pair(4, 3)
    optimizer, heard, copies = torch.optim.SGD([weight], lr=0.1), Heard(), []
    monitor = RelativeStepMonitor(optimizer, [("weight", weight)], heard)
    # runs after the monitor's own hook, as it is registered later
    optimizer.register_step_pre_hook(
        lambda *_: copies.extend(weakref.ref(copy) for _, _, copy in monitor._before)
    )
    optimizer.step()
    gc.collect()
    assert [copy() for copy in copies] == [None]
    monitor.remove()
    monitor.remove()
    optimizer.step()
    assert len(heard) == 1
    assert len(copies) == 1


def test_a_step_that_fails_leaves_nothing_behind():
    weight = random_pair(4, 3)
    optimizer = torch.optim.SGD([weight], lr=0.1)

    def closure():
        raise KeyError("planted")

    with pytest.raises(KeyError), RelativeStepMonitor(optimizer, [], print) as monitor:
        optimizer.step(closure)
    assert monitor._before == []
