"""The box of a format: its steps, what stays, and how noise is drawn and found in it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from netdistance.bounds.attack import worst_found
from netdistance.errors import UsageError
from netdistance.networks.load import Network, State
from netdistance.probes.deviation import Reference
from netdistance.probes.noise import unit_noise
from netdistance.probes.noise_levels import noise_of
from netdistance.probes.quantiser_box import STEPS, QuantiserBox
from tests.cases.networks import SUPPORTED
from tests.oracles.rounding import grid_steps, to_nearest

SHAPES = [(3, 5), (2, 300), (4, 3, 5, 5), (2, 128), (1, 129), (7, 1), (2, 2, 130)]
BY_NAME = {case.name: case for case in SUPPORTED}


def weights(shape: tuple[int, ...]) -> Tensor:
    """Gaussian weights in float64 with some zeros, the first row all zeros where there are more."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    drawn = torch.where(drawn.abs() < 0.1, 0.0, drawn)
    drawn[: shape[0] - 1 and 1] = 0.0
    return drawn


@pytest.mark.parametrize("format", STEPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_steps_and_rounding_by_their_definition(shape: tuple[int, ...], format: str) -> None:
    weight = weights(shape)
    extent = QuantiserBox(format).extent(weight).numpy()
    expected = np.where(weight.numpy() == 0.0, 0.0, grid_steps(weight.numpy(), format) / 2.0)
    np.testing.assert_allclose(extent, expected, rtol=1e-15, atol=0.0)
    error = np.abs(to_nearest(weight.numpy(), format) - weight.numpy())
    # a multiple of a step rounds, by an ulp of the weight
    assert (error <= extent + 2.3e-16 * np.abs(weight.numpy())).all()
    assert error.max() > 0.5 * extent.max() or weight.count_nonzero() <= 8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("format", STEPS)
def test_draws_are_uniform_in_the_box(format: str, dtype: torch.dtype) -> None:
    weight = torch.randn(64, 300, generator=torch.Generator().manual_seed(4)).to(dtype)
    unit = QuantiserBox(format)
    extent = unit.extent(weight).double()
    (noise,) = unit_noise({"w": weight}, ["w"], unit, seed=0).values()
    assert noise.dtype == dtype and noise.shape == weight.shape
    within = noise.double() / extent
    assert float(within.abs().max()) <= 1.0 + torch.finfo(dtype).eps
    # uniform in [-1, 1]: mean 0, variance 1/3, fourth moment 1/5, at four standard errors
    n = weight.numel()
    assert abs(float(within.mean())) < 4 * math.sqrt(1 / 3 / n)
    assert abs(float(within.square().mean()) - 1 / 3) < 4 * math.sqrt((1 / 5 - 1 / 9) / n) + 1e-3
    again = unit_noise({"w": weight}, ["w"], unit, seed=0)["w"]
    other = unit_noise({"w": weight}, ["w"], unit, seed=1)["w"]
    assert torch.equal(noise, again) and not torch.equal(noise, other)


@pytest.mark.parametrize("format", STEPS)
def test_the_farthest_is_the_corner(format: str) -> None:
    unit, weight = QuantiserBox(format), weights((4, 300))
    corner = unit.extent(weight)
    assert unit.farthest(weight) == pytest.approx(float(corner.norm() / weight.norm()), rel=1e-12)
    assert unit.farthest(torch.zeros(3, 4)) == 0.0
    assert math.isnan(unit.farthest(torch.tensor([[1.0, math.inf]])))
    up = unit.ascend(corner, -torch.ones_like(weight))
    assert up is not None and torch.equal(up, -corner)
    assert unit.ascend(corner, torch.zeros_like(weight)) is None
    assert unit.ascend(corner, torch.full_like(weight, math.nan)) is None


@pytest.mark.parametrize("shape", [(5,), (), (0, 3), (3, 0)])
def test_what_has_no_step_stays(shape: tuple[int, ...]) -> None:
    weight = torch.ones(shape)
    for format in STEPS:
        assert not unit_noise({"w": weight}, ["w"], QuantiserBox(format), seed=0)["w"].any()
        assert QuantiserBox(format).farthest(weight) == 0.0


@pytest.mark.parametrize("name", ["shared parameter", "conv groups", "residual with +="])
def test_every_iterate_of_the_attack_lies_in_the_box(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = BY_NAME[name]
    network = case.network()
    state, inputs = case.state(network, 0, torch.float64), case.inputs(0, 2, torch.float64)
    reference = Reference.of(network(state, inputs))
    visited: list[State] = []
    call = Network.__call__

    def record(self: Network, weights: State, x: Tensor) -> Tensor:
        visited.append({name: tensor.detach().clone() for name, tensor in weights.items()})
        return call(self, weights, x)

    monkeypatch.setattr(Network, "__call__", record)
    worst_found(network, state, reference, inputs, network.parameters, noise_of("int4"), seed=0)
    assert len(visited) >= 2 * 12
    for moved in visited:
        for key, weight in state.items():
            radius = QuantiserBox("int4").extent(weight)
            assert bool(((moved[key] - weight).abs() <= radius * (1 + 1e-12) + 1e-15).all())
            assert (weight.ndim < 2) == torch.equal(moved[key], weight)


@pytest.mark.parametrize("text", ["int3", "INT8", "fp8", "", "nan"])
def test_other_names_are_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(UsageError) as error:
        noise_of(text)
    assert "from 1e-10 to 10000" in str(error.value)
    assert all(name in str(error.value) for name in STEPS)
