"""Where the top-1 class is certified to stay, no change in the ball replaces it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from netdistance.bounds.certificates import Certifier
from netdistance.networks.load import Network, State
from netdistance.probes.noise import perturbed_names
from netdistance.quantities import Interval, Skipped
from tests.cases.networks import SUPPORTED, Case, in_dtype
from tests.cases.wider import WIDER

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel"),
    pytest.mark.filterwarnings("ignore:There is a performance drop"),
]


def least_margin(
    network: Network, state: State, x: Tensor, names: tuple[str, ...], level: float, steps: int
) -> float:
    """The least lead of the original top-1 class that a search in the ball finds, for one input."""
    ties = network.ties
    top = int(network(state, x).argmax())
    radii = {name: level * float(state[name].norm()) for name in names}
    change = {name: torch.zeros_like(state[name]) for name in names}
    least = float("inf")
    for _ in range(steps):
        leaves = {name: (state[name] + change[name]).requires_grad_() for name in names}
        moved = {name: leaves.get(ties.get(name, name), tensor) for name, tensor in state.items()}
        (scores,) = network(moved, x)
        others = torch.cat([scores[:top], scores[top + 1 :]])
        lead = scores[top] - others.max()
        least = min(least, float(lead.detach()))
        gradients = torch.autograd.grad(lead, list(leaves.values()), allow_unused=True)
        for name, gradient in zip(names, gradients, strict=True):
            if gradient is not None and float(gradient.norm()) > 0.0:
                change[name] = -gradient * (radii[name] / gradient.norm())
    return least


@pytest.mark.parametrize("case", (*SUPPORTED, *WIDER), ids=lambda case: case.name)
def test_no_change_in_the_ball_replaces_a_certified_class(case: Case) -> None:
    network = case.network()
    state, inputs = case.state(network, 0), case.inputs(0)
    double = in_dtype(state, torch.float64)
    names = perturbed_names(network, state, "all")
    for level in (1e-4, 1e-3, 1e-2, 0.1):
        for x in inputs.split(1):
            certifier = Certifier.of(network, state, x)
            certified = certifier.ball(level, names).top1_unchanged
            if isinstance(certified, Interval) and certified.lower == 1.0:
                assert network(state, x).ndim == 2
                assert least_margin(network, double, x.double(), names, level, steps=8) > 0.0


@pytest.mark.parametrize(("level", "kept"), [(0.499, 1.0), (0.501, 0.0)])
def test_the_certificate_ends_where_the_class_can_be_replaced(level: float, kept: float) -> None:
    # y = W x with W = 1, x = (1, 0): a change of size a at both entries of x makes (1 - a, a), and
    # has the Frobenius norm sqrt(2) a, as |W| has: the class falls at the level of one half
    network = Network(nn.Linear(2, 2, bias=False), "identity", torch.device("cpu"))
    state, x = {"weight": torch.eye(2)}, torch.tensor([[1.0, 0.0]])
    certifier = Certifier.of(network, state, x)
    assert certifier.ball(level, ("weight",)).top1_unchanged == Interval(kept, 1.0)
    least = least_margin(network, in_dtype(state, torch.float64), x.double(), ("weight",), level, 4)
    assert (least > 0.0) == bool(kept)


def test_what_is_no_classifier_has_no_class_to_certify() -> None:
    network = Network(nn.Linear(2, 1), "one", torch.device("cpu"))
    state = network.module.state_dict()
    found = Certifier.of(network, state, torch.ones(1, 2)).ball(0.1, ("weight",)).top1_unchanged
    assert found == Skipped("the output is not one score for each of several classes")
