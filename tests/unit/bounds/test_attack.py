"""The attack stays in the ball, and finds the exact worst case where that is known."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from netdistance.bounds.attack import worst_found
from netdistance.networks.load import Network
from netdistance.probes.deviation import Reference
from netdistance.probes.noise import moved, relative, unit_noise
from tests.cases.networks import SUPPORTED, Case, in_dtype, mlp

CASES = [c for c in SUPPORTED if c.name in (
    "one number", "deep", "shared parameter", "shared module", "conv groups", "residual with +=",
)]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_iterate_lies_in_the_ball(
    case: Case, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = case.network()
    state, inputs = case.state(network, 0, dtype), case.inputs(0, 2, dtype)
    reference = Reference.of(network(state, inputs))
    visited: list[Mapping[str, Tensor]] = []
    call = Network.__call__

    def record(self: Network, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        visited.append({name: tensor.detach().clone() for name, tensor in weights.items()})
        return call(self, weights, x)

    monkeypatch.setattr(Network, "__call__", record)
    names = network.parameters[:-1] or network.parameters
    level, ties = 0.05, network.ties
    worst_found(network, state, reference, inputs, names, relative(level), seed=0)
    assert len(visited) >= 2 * 12
    # the sum of weight and change rounds
    slack = 1e-6 if dtype == torch.float32 else 1e-12
    for weights in visited:
        for name, weight in state.items():
            size = float((weights[name].double() - weight.double()).norm())
            radius = level * float(weight.double().norm()) if ties[name] in names else 0.0
            assert size <= radius * (1.0 + slack) + slack * float(weight.double().norm()) * level


@pytest.mark.parametrize("seed", range(4))
def test_reaches_the_worst_case_of_one_layer(seed: int) -> None:
    case = Case("linear", mlp(9, 5), (9,))
    network = case.network()
    state, inputs = case.state(network, seed), case.inputs(seed, 6)
    reference, level = Reference.of(network(state, inputs)), 0.2
    norms = inputs.double().norm(dim=1)
    weight, bias = (float(state[name].double().norm()) for name in ("0.weight", "0.bias"))
    for names, exact in (
        (["0.weight"], level * weight * norms / reference.norms),
        (["0.bias"], level * bias / reference.norms),
        (["0.weight", "0.bias"], level * (weight * norms + bias) / reference.norms),
    ):
        found = worst_found(network, state, reference, inputs, names, relative(level), seed=seed)
        assert bool((found >= 0.99 * exact).all())
        assert bool((found <= (1.0 + 1e-5) * exact).all())


def test_more_steps_never_find_less() -> None:
    case = Case("deep", mlp(6, 12, 12, 4), (6,))
    network = case.network()
    state, inputs = case.state(network, 0), case.inputs(0)
    reference = Reference.of(network(state, inputs))
    found = [
        worst_found(
            network,
            state,
            reference,
            inputs,
            network.parameters,
            relative(0.1),
            seed=0,
            steps=steps,
        )
        for steps in (1, 4, 12)
    ]
    assert bool((found[0] <= found[1]).all()) and bool((found[1] <= found[2]).all())


def test_beats_random_noise() -> None:
    case = Case("deep", mlp(6, 12, 12, 4), (6,))
    network = case.network()
    state, inputs = case.state(network, 1), case.inputs(1)
    reference, names = Reference.of(network(state, inputs)), network.parameters
    found = worst_found(network, state, reference, inputs, names, relative(0.05), seed=0)
    for seed in range(20):
        other = moved(network, state, unit_noise(state, names, seed=seed), 0.05)
        assert bool((reference.deviation(network(other, inputs)) < found).all())


def test_state_stays_and_nothing_to_move_is_zero() -> None:
    case = Case("net", mlp(3, 4, 2), (3,))
    network = case.network()
    state, inputs = case.state(network, 0), case.inputs(0)
    kept = {name: tensor.clone() for name, tensor in state.items()}
    reference = Reference.of(network(state, inputs))
    worst_found(network, state, reference, inputs, network.parameters, relative(0.1), seed=0)
    assert all(torch.equal(state[name], kept[name]) for name in kept)
    assert not any(tensor.requires_grad for tensor in state.values())
    assert not worst_found(network, state, reference, inputs, [], relative(0.1), seed=0).any()


def test_a_zero_output_has_no_worst_case() -> None:
    case = Case("zero", mlp(3, 2, bias=False), (3,))
    network = case.network()
    state = in_dtype(case.state(network, 0), torch.float64)
    inputs = torch.zeros(1, 3, dtype=torch.float64)
    reference = Reference.of(network(state, inputs))
    assert (
        worst_found(network, state, reference, inputs, ["0.weight"], relative(0.1), seed=0)
        .isnan()
        .all()
    )
