"""The first-order estimate against exact Jacobians, and against measured noise."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from netdistance import demo
from netdistance.bounds.estimates import at_level, first_order
from netdistance.checkpoints import open_checkpoint
from netdistance.networks.inputs import load_inputs
from netdistance.networks.load import Network, State, load_network
from netdistance.probes.deviation import over_draws
from netdistance.probes.noise import RELATIVE_GAUSSIAN, relative
from netdistance.probes.noise_levels import noise_of
from netdistance.probes.noise_sweep import NoiseSweep
from netdistance.probes.quantiser_box import QuantiserBox
from netdistance.quantities import Estimate, Quantity, Skipped
from tests.cases.networks import SUPPORTED, Case, mlp
from tests.oracles.rounding import grid_steps

CASES = [c for c in SUPPORTED if c.name in (
    "two layers", "deep", "rows", "shared parameter", "used twice", "conv stride", "conv groups",
)]  # fmt: skip


def first_order_rms(
    network: Network, state: State, inputs: Tensor, names: tuple[str, ...], **settings: int
) -> Quantity:
    """The estimate for noise on exactly the tensors whose gradients are taken."""
    return first_order(network, state, inputs, names, **settings).rms(names)


Variance = Callable[[Tensor], Tensor]


def relative_variance(weight: Tensor) -> Tensor:
    """|W|^2 / n for every element."""
    return weight.square().mean()


def int4_variance(weight: Tensor) -> Tensor:
    """step^2 / 12 for every element that is not zero, 0 where there is no step."""
    if weight.ndim < 2:
        return torch.zeros_like(weight)
    steps = torch.from_numpy(grid_steps(weight.numpy(), "int4"))
    return torch.where(weight == 0, 0.0, steps.square() / 12.0)


def exact_rms(
    network: Network,
    state: State,
    inputs: Tensor,
    names: tuple[str, ...],
    variance_of: Variance = relative_variance,
) -> float:
    """sqrt of the mean over inputs of sum_i sigma_i^2 |df/dW_i|^2 / |f|^2, in float64."""
    double = {name: tensor.double() for name, tensor in state.items()}
    ties, total = network.ties, 0.0
    for x in inputs.double().split(1):
        for name in names:

            def output(weight: Tensor, name: str = name, x: Tensor = x) -> Tensor:
                moved = {n: weight if ties.get(n, n) == name else t for n, t in double.items()}
                return network(moved, x).flatten()

            jacobian = torch.autograd.functional.jacobian(output, double[name])
            scale = network(double, x).square().sum()
            total += float((variance_of(double[name]) * jacobian.square()).sum() / scale)
    return math.sqrt(total / len(inputs))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_within_three_standard_errors_of_the_jacobian(case: Case) -> None:
    network = case.network()
    state, inputs = case.state(network, 2), case.inputs(2, 4)
    names, box = network.parameters, QuantiserBox("int4")
    effect = first_order(
        network, state, inputs, names, (box, RELATIVE_GAUSSIAN), batch_size=3, seed=1, probes=400
    )
    for unit, variance_of in ((RELATIVE_GAUSSIAN, relative_variance), (box, int4_variance)):
        found = effect.rms(names, unit)
        assert isinstance(found, Estimate)
        exact = exact_rms(network, state, inputs, names, variance_of)
        assert abs(found.value - exact) <= 3.0 * found.stderr + 1e-6 * exact
        assert found.stderr < 0.1 * exact


def test_one_output_needs_no_luck() -> None:
    """With one output a sign changes nothing: every probe is exact, up to cross terms of inputs."""
    case = Case("scalar", mlp(3, 4, 1), (3,))
    network = case.network()
    state, inputs = case.state(network, 0), case.inputs(0, 1)
    found = first_order_rms(
        network, state, inputs, network.parameters, batch_size=8, seed=0, probes=2
    )
    assert isinstance(found, Estimate)
    exact = exact_rms(network, state, inputs, network.parameters)
    assert found.value == pytest.approx(exact, rel=1e-5)
    assert found.stderr < 1e-6 * exact


def test_one_set_of_passes_serves_every_scope() -> None:
    case = Case("net", mlp(3, 4, 2), (3,))
    network = case.network()
    state, inputs = case.state(network, 0), case.inputs(0)
    weights = tuple(name for name in network.parameters if state[name].ndim >= 2)
    assert 0 < len(weights) < len(network.parameters)
    every = first_order(network, state, inputs, network.parameters, batch_size=8, seed=0)
    alone = first_order_rms(network, state, inputs, weights, batch_size=8, seed=0)
    assert every.rms(weights) == alone != every.rms(network.parameters)


def test_scope_and_unused_names() -> None:
    case = Case("net", mlp(3, 4, 2), (3,))
    network = case.network()
    state, inputs = case.state(network, 0), case.inputs(0)
    assert first_order_rms(network, state, inputs, (), batch_size=8, seed=0) == Estimate(0.0, 0.0)
    zero = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    answer = first_order_rms(network, zero, inputs, network.parameters, batch_size=8, seed=0)
    assert isinstance(answer, Skipped)


def test_within_a_tenth_of_small_noise_on_a_trained_network() -> None:
    network = load_network(demo.MODEL, device="cpu")
    inputs = load_inputs(demo.POINTS).values[:200]
    with open_checkpoint(demo.TRAINED) as checkpoint:
        state = network.state_from(checkpoint)
    sweep = NoiseSweep.of(network, state, inputs, None, batch_size=256, seed=0, draws=64)
    noises = (relative(1e-3), noise_of("int8"))
    effect = first_order(
        network, state, inputs, sweep.names("all"), tuple(noise.unit for noise in noises),
        batch_size=256, seed=0, probes=64,
    )  # fmt: skip
    named = {noise.text: noise for noise in noises}
    measurements = sweep.measure(noises, ("weights", "all"))
    assert set(measurements) == {("0.001", "weights"), ("0.001", "all"), ("int8", "weights")}
    for (text, scope), draws in measurements.items():
        measured = over_draws(draws.deviations, power=2)
        found = at_level(effect.rms(sweep.names(scope), named[text].unit), named[text].scale)
        assert isinstance(measured, Estimate) and isinstance(found, Estimate)
        assert found.value == pytest.approx(measured.value, rel=0.1)


def test_at_level_scales_value_and_error() -> None:
    assert at_level(Estimate(3.0, 0.5), 0.1) == Estimate(3.0 * 0.1, 0.5 * 0.1)
    assert at_level(Skipped("why"), 0.1) == Skipped("why")
