"""The measured deviation and its statistics against slow float64 twins."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from netdistance.networks.load import Network
from netdistance.probes.deviation import (
    Reference,
    agreement,
    fraction,
    hits,
    largest,
    mean_over_inputs,
    over_draws,
    quantiles,
    run,
)
from netdistance.quantities import Estimate, Exact, Skipped
from tests.cases.networks import SUPPORTED, Case, mlp


def outputs(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_deviation_equals_its_twin(dtype: torch.dtype) -> None:
    before, after = outputs(0, 50, 7).to(dtype), outputs(1, 50, 7).to(dtype)
    a, b = before.double().numpy(), after.double().numpy()
    twin = [
        math.sqrt(math.fsum((q - p) ** 2)) / math.sqrt(math.fsum(p**2))
        for p, q in zip(a, b, strict=True)
    ]
    measured = Reference.of(before).deviation(after)
    assert measured.dtype == torch.float64
    np.testing.assert_allclose(measured.numpy(), twin, rtol=1e-13)


def test_small_deviations_of_large_outputs_keep_their_digits() -> None:
    before = torch.full((1, 4), 2.0**101)
    after = before * (1.0 + 2.0**-20)
    assert float(Reference.of(before).deviation(after)) == pytest.approx(2.0**-20, rel=1e-12)
    assert float(Reference.of(before).deviation(before)) == 0.0


def test_outputs_without_a_size_have_no_deviation() -> None:
    before = torch.tensor([[0.0, 0.0], [1.0, 0.0], [math.inf, 0.0], [math.nan, 1.0]])
    reference = Reference.of(before)
    assert reference.usable.tolist() == [False, True, False, False]
    deviation = reference.deviation(before + 0.5)
    assert torch.isfinite(deviation).tolist() == [False, True, False, False]
    assert largest(deviation) == Exact(float(deviation[1]))
    assert isinstance(largest(deviation[:1]), Skipped)
    assert isinstance(mean_over_inputs(deviation[:1]), Skipped)
    assert isinstance(over_draws([deviation[:1]]), Skipped)


@pytest.mark.parametrize("count", [1, 2, 3, 9, 10, 11, 20, 30, 70, 100, 1001])
def test_quantiles_are_nearest_rank(count: int) -> None:
    values = outputs(count, count).double().abs()
    expected = {
        str(q): float(np.quantile(values.numpy(), q, method="inverted_cdf"))
        for q in (0.5, 0.9, 1.0)
    }
    assert quantiles(values) == expected
    padded = torch.cat([values, torch.tensor([math.nan], dtype=torch.float64)])
    assert quantiles(padded) == expected


def test_an_overflowing_output_is_said_and_not_dropped() -> None:
    reference = Reference.of(torch.tensor([[1.0], [1.0], [0.0]]))
    deviation = reference.deviation(torch.tensor([[2.0], [math.inf], [1.0]]))
    assert quantiles(deviation) == {}
    for quantity in (largest(deviation), mean_over_inputs(deviation), over_draws([deviation])):
        assert quantity == Skipped("1 of 2 changed outputs are not finite")


def test_no_values_have_no_quantiles() -> None:
    assert quantiles(torch.tensor([math.nan])) == {}


def test_mean_over_draws_and_its_error() -> None:
    draws = [outputs(seed, 40).double().abs() for seed in range(6)]
    means = [math.fsum(draw) / 40 for draw in draws]
    mean = math.fsum(means) / 6
    spread = math.sqrt(math.fsum((m - mean) ** 2 for m in means) / 5)
    found = over_draws(draws)
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(mean, rel=1e-13)
    assert found.stderr == pytest.approx(spread / math.sqrt(6), rel=1e-12)


def test_root_mean_square_over_draws_and_its_error() -> None:
    draws = [outputs(seed, 40).double().abs() for seed in range(6)]
    squares = [math.fsum(draw**2) / 40 for draw in draws]
    mean = math.fsum(squares) / 6
    spread = math.sqrt(math.fsum((m - mean) ** 2 for m in squares) / 5)
    found = over_draws(draws, power=2)
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(math.sqrt(mean), rel=1e-13)
    # d sqrt(m) = dm / (2 sqrt(m))
    assert found.stderr == pytest.approx(spread / math.sqrt(6) / (2 * math.sqrt(mean)), rel=1e-12)


def test_one_draw_has_no_error() -> None:
    draw = torch.tensor([1.0, 3.0], dtype=torch.float64)
    assert over_draws([draw]) == Estimate(2.0, 0.0)
    assert over_draws([draw], power=2) == Estimate(math.sqrt(5.0), 0.0)
    assert over_draws([torch.zeros(3, dtype=torch.float64)] * 2, power=2) == Estimate(0.0, 0.0)


def test_mean_over_inputs() -> None:
    values = torch.tensor([1.0, 2.0, 6.0, math.nan], dtype=torch.float64)
    found = mean_over_inputs(values)
    assert isinstance(found, Estimate)
    assert found.value == 3.0
    assert found.stderr == pytest.approx(math.sqrt(7.0 / 3.0), rel=1e-14)
    assert mean_over_inputs(values[:1]) == Estimate(1.0, 0.0)


def test_fractions() -> None:
    a = torch.tensor([[1.0, 2.0], [5.0, 4.0], [0.0, 1.0], [9.0, 8.0]])
    b = torch.tensor([[1.0, 2.0], [4.0, 5.0], [0.0, 1.0], [9.0, 8.0]])
    assert agreement(a, b) == Estimate(0.75, math.sqrt(0.75 * 0.25 / 4))
    assert isinstance(agreement(a[:, :1], b[:, :1]), Skipped)
    right = hits(a, torch.tensor([1, 0, 0, 0]))
    assert right.tolist() == [True, True, False, True]
    assert fraction(right) == Estimate(0.75, math.sqrt(0.75 * 0.25 / 4))


@pytest.mark.parametrize("batch_size", [1, 3, 7, 1000])
def test_any_batches_give_the_same_outputs(batch_size: int) -> None:
    case = next(case for case in SUPPORTED if case.name == "conv stride")
    network = case.network()
    state, inputs = case.state(network, 0), case.inputs(0, 10)
    whole = run(network, state, inputs, batch_size=10)
    assert whole.shape == (10, 3)
    torch.testing.assert_close(run(network, state, inputs, batch_size=batch_size), whole)


def test_run_equals_a_numpy_network() -> None:
    case = Case("two", mlp(4, 6, 3), (4,))
    network: Network = case.network()
    state, inputs = case.state(network, 0), case.inputs(0, 5)
    w = {name: tensor.double().numpy() for name, tensor in state.items()}
    h = np.maximum(inputs.double().numpy() @ w["0.weight"].T + w["0.bias"], 0.0)
    twin = h @ w["2.weight"].T + w["2.bias"]
    np.testing.assert_allclose(
        run(network, state, inputs, batch_size=2).numpy(), twin, rtol=1e-4, atol=1e-6
    )
