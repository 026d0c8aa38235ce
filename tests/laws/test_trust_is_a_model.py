"""Deep relative trust is exceeded, strictly and repeatably, and says that it is a model.

If one of these tests fails, someone has made the product larger or the change smaller: the standing
stays `modelled` whatever the numbers do.
"""

from __future__ import annotations

import math

import pytest
import torch

from netdistance.bounds.attack import worst_found
from netdistance.bounds.certificates import Certifier
from netdistance.bounds.trust import MODEL, trust_from_log1p_sum, trust_of_sum
from netdistance.networks.affine import Norms
from netdistance.probes.deviation import Reference
from netdistance.probes.noise import relative
from netdistance.quantities import Exact, Interval
from tests.cases.networks import Case, mlp
from tests.laws.adversary import changed, exact_deviation

ETA = 0.01


def trust(layers: int) -> float:
    value = trust_from_log1p_sum(layers * math.log1p(ETA))
    assert isinstance(value, Exact)
    return value.value


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_a_gradient_step_exceeds_it(depth: int) -> None:
    """Every layer moves 1% of its norm along the gradient of |f|^2: up, or down."""
    case = Case("step", mlp(20, *(64 for _ in range(depth)), 10, bias=False), (20,))
    network = case.network()
    state, x = case.state(network, 0, torch.float64), case.inputs(0, 1, torch.float64)
    leaves = {name: weight.clone().requires_grad_() for name, weight in state.items()}
    gradients = torch.autograd.grad(network(leaves, x).square().sum(), list(leaves.values()))
    change = {
        name: ETA * weight.norm() / gradient.norm() * gradient
        for (name, weight), gradient in zip(state.items(), gradients, strict=True)
    }
    for sign in (1.0, -1.0):
        moved = changed(network, state, {name: sign * d for name, d in change.items()})
        deviation = float(exact_deviation(network, state, moved, x))
        assert deviation > 1.2 * trust(depth + 1), f"{deviation:.4g}, modelled {trust(depth + 1)}"
        certified = Certifier.of(network, state, x).known(Norms(moved)).best
        assert isinstance(certified, Interval) and certified.upper >= deviation


def test_the_attack_exceeds_it() -> None:
    case = Case("attacked", mlp(20, 64, 64, 10), (20,))
    network = case.network()
    state, x = case.state(network, 1), case.inputs(1)
    reference = Reference.of(network(state, x))
    names = [name for name in network.parameters if name.endswith("weight")]
    found = worst_found(network, state, reference, x, names, relative(ETA), seed=0)
    assert float(found.max()) > 1.5 * trust(3), f"{found}, modelled {trust(3):.4g}"


def test_its_row_says_so() -> None:
    row = trust_of_sum(3 * math.log1p(ETA), [MODEL])
    assert row.standing == "modelled"
    assert row.assumptions == (MODEL,) and "not a bound" in MODEL
    assert row.value == Exact(trust(3))
    assert not isinstance(row.value, Interval)
