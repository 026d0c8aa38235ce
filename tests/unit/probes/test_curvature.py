"""Curvature against the whole Hessian of small networks, and against finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from netdistance.probes.curvature import Hessian, curvature, top_eigenvalues
from netdistance.probes.mean_loss import MeanLoss
from netdistance.probes.noise import unit_noise
from netdistance.quantities import Estimate, Interval, Quantity, Skipped
from netdistance.report.width_rows import Curvature
from tests.unit.probes.labelled import loss_of, relu_problem

WEIGHTS = ("0.weight", "2.weight", "4.weight")


def whole_hessian(loss: MeanLoss) -> Tensor:
    """The Hessian of the mean loss in all parameters, by torch.func, (n, n) float64."""
    names = loss.network.parameters
    tensors = [loss.state[name] for name in names]

    def mean(flat: Tensor) -> Tensor:
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        shaped = {n: p.view_as(t) for n, p, t in zip(names, parts, tensors, strict=True)}
        module, inputs = loss.network.module, loss.inputs
        outputs = torch.func.functional_call(module, shaped, (inputs,))
        return functional.cross_entropy(outputs, loss.targets)

    flat = torch.cat([tensor.flatten() for tensor in tensors])
    hessian: Tensor = torch.func.jacrev(torch.func.jacrev(mean))(flat)
    return hessian


def tanh_problem() -> MeanLoss:
    """A smooth convolutional network with biases, on two classes."""
    module = nn.Sequential(
        nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3)
    ).double()  # fmt: skip
    generator = torch.Generator().manual_seed(5)
    state = {
        name: torch.randn(own.shape, generator=generator, dtype=torch.float64)
        for name, own in module.state_dict().items()
    }
    inputs = torch.randn((15, 1, 3, 3), generator=generator, dtype=torch.float64)
    targets = torch.randint(0, 3, (15,), generator=generator)
    return loss_of(module, state, inputs, targets)


def measured(loss: MeanLoss, *, draws: int = 64, eigenvalues: int = 3) -> Curvature:
    names = tuple(n for n in loss.network.parameters if loss.state[n].ndim >= 2)
    return curvature(loss, names, eigenvalues=eigenvalues, draws=draws, seed=0)


def problems() -> list[MeanLoss]:
    return [relu_problem(bias=True), tanh_problem()]


@pytest.mark.parametrize("place", range(2))
def test_the_top_eigenvalues_are_those_of_the_whole_hessian(place: int) -> None:
    loss = problems()[place]
    values = torch.linalg.eigvalsh(whole_hessian(loss)).flip(0).tolist()
    found = measured(loss, draws=2, eigenvalues=5).top_eigenvalues
    assert len(found) == 5
    for value, interval in zip(values, found, strict=False):
        assert isinstance(interval, Interval)
        assert 0.5 * (interval.lower + interval.upper) == pytest.approx(value, rel=1e-6)
        assert contains_one(interval, values)


def contains_one(interval: Quantity, values: list[float]) -> bool:
    """Whether an eigenvalue lies in it, up to the rounding of the products."""
    assert isinstance(interval, Interval)
    slack = 1e-12 * max(map(abs, values))
    return any(interval.lower - slack <= v <= interval.upper + slack for v in values)


@pytest.mark.parametrize("steps", [3, 4, 6])
def test_an_interval_contains_an_eigenvalue_however_few_steps(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netdistance.probes.curvature.STEPS", steps)
    loss = tanh_problem()
    values = torch.linalg.eigvalsh(whole_hessian(loss)).tolist()
    found = measured(loss, draws=2).top_eigenvalues
    assert all(contains_one(interval, values) for interval in found)
    widths = [q.upper - q.lower for q in found if isinstance(q, Interval)]
    assert max(widths) > 1e-3  # not converged: the residual is what says so
    narrow = Interval(values[-1] + 0.1, values[-1] + 0.2)
    assert not contains_one(narrow, values)


def test_a_float32_search_is_judged_in_float64() -> None:
    loss = relu_problem(bias=True, dtype=torch.float32)
    values = torch.linalg.eigvalsh(whole_hessian(loss.in_float64())).tolist()
    found = measured(loss, draws=2)
    for value, interval in zip(values[::-1], found.top_eigenvalues, strict=False):
        assert contains_one(interval, values)
        assert isinstance(interval, Interval)
        assert interval.lower == pytest.approx(value, rel=1e-3)
    exact = measured(loss.in_float64(), draws=2)
    for rough, sharp in ((found.trace, exact.trace), (found.relative_trace, exact.relative_trace)):
        assert isinstance(rough, Estimate) and isinstance(sharp, Estimate)
        assert rough.value == pytest.approx(sharp.value, rel=1e-4)


def test_a_search_ends_where_three_digits_are_known() -> None:
    done: list[int] = []
    operator = Diagonal(*[0.5**place for place in range(60)])
    (top,) = top_eigenvalues(operator, operator, 1, seed=0, advance=done.append)
    assert isinstance(top, Interval) and top.lower <= 1.0 <= top.upper
    assert top.upper - top.lower < 1e-3
    assert len(done) < 30 and sum(done) == 48 + 1  # the bar is filled nevertheless


class Diagonal:
    """A matrix with known eigenvalues, 3 of them twice."""

    device = torch.device("cpu")

    def __init__(self, *values: float) -> None:
        self.values = torch.tensor(values, dtype=torch.float64)
        self.size = len(values)

    def __call__(self, flat: Tensor) -> Tensor:
        return self.values * flat


def test_repeated_eigenvalues_are_found_each_time() -> None:
    operator = Diagonal(3.0, 3.0, 1.0, 0.0, 0.0, -2.0)
    found = top_eigenvalues(operator, operator, 4, seed=0, advance=lambda done: None)
    middles = [0.5 * (q.lower + q.upper) for q in found if isinstance(q, Interval)]
    assert middles == pytest.approx([3.0, 3.0, 1.0, 0.0], abs=1e-9)


def test_what_is_not_finite_or_too_large_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    nan = Diagonal(1.0, float("nan"))
    nowhere = top_eigenvalues(nan, nan, 1, seed=0, advance=lambda done: None)
    assert nowhere == (Skipped("a second derivative is not finite"),)
    monkeypatch.setattr("netdistance.probes.curvature.MOST_NUMBERS", 8)
    ones = Diagonal(*[1.0] * 5)
    (large,) = top_eigenvalues(ones, ones, 3, seed=0, advance=lambda done: None)
    assert isinstance(large, Skipped) and "2 GiB" in large.reason


@pytest.mark.parametrize("place", range(2))
def test_the_traces_are_within_four_standard_errors(place: int) -> None:
    loss = problems()[place]
    whole, at, relative = whole_hessian(loss), 0, 0.0
    for name in loss.network.parameters:
        weight = loss.state[name]
        block = whole[at : at + weight.numel(), at : at + weight.numel()]
        at += weight.numel()
        if weight.ndim >= 2:
            relative += float(weight.norm() ** 2 / weight.numel() * block.trace())
    found = measured(loss)
    for estimate, expected in (
        (found.trace, float(whole.trace())), (found.relative_trace, relative)
    ):  # fmt: skip
        assert isinstance(estimate, Estimate)
        assert abs(estimate.value - expected) <= 4.0 * estimate.stderr
        assert estimate.stderr < 0.5 * max(1.0, abs(expected))
    assert found.parameters == len(whole)


def test_the_relative_trace_is_the_second_difference_along_the_noise() -> None:
    loss, step = tanh_problem(), 1e-4
    names = tuple(n for n in loss.network.parameters if loss.state[n].ndim >= 2)
    rises = []
    for draw in range(6):
        noise = unit_noise(loss.state, names, seed=draw)
        there, back, here = (loss.at(noise, t).loss for t in (step, -step, 0.0))
        rises.append((there + back - 2.0 * here) / step**2)
    found = curvature(loss, names, eigenvalues=1, draws=6, seed=0).relative_trace
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(sum(rises) / 6, rel=1e-4)


def test_scaling_a_layer_up_and_the_next_down_changes_no_relative_trace() -> None:
    before = measured(relu_problem(), draws=4)
    after = measured(relu_problem(factors=(3.0, 1 / 6.0, 2.0)), draws=4)
    assert isinstance(before.relative_trace, Estimate) and isinstance(after.trace, Estimate)
    assert isinstance(after.relative_trace, Estimate) and isinstance(before.trace, Estimate)
    assert after.relative_trace.value == pytest.approx(before.relative_trace.value, rel=1e-9)
    assert after.relative_trace.stderr == pytest.approx(before.relative_trace.stderr, rel=1e-9)
    # the plain trace does change, so that this can fail
    assert abs(after.trace.value / before.trace.value - 1.0) > 0.1


class Detached(nn.Module):
    """A network whose backward cannot be differentiated again in one of its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.zeros(2, 2, dtype=torch.float64))
        self.second = nn.Parameter(torch.zeros(2, 2, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = _Once.apply(x @ self.first)
        return hidden @ self.second


class _Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient * 2.0


def test_a_network_without_a_second_derivative_is_skipped() -> None:
    state = dict.fromkeys(("first", "second"), torch.eye(2, dtype=torch.float64))
    inputs = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    found = measured(loss_of(Detached(), state, inputs, torch.tensor([0, 1])), draws=2)
    assert isinstance(found.trace, Skipped) and "differentiated again" in found.trace.reason
    assert found.top_eigenvalues == (found.trace,) and found.relative_trace == found.trace


def test_tied_parameters_are_one() -> None:
    module = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Tanh(), nn.Linear(3, 3, bias=False))
    module[2].weight = module[0].weight
    weight = torch.tensor([[1.0, 2.0, 0.5], [0.1, -1.0, 0.3], [0.7, 0.2, -0.4]]).double()
    inputs = torch.eye(3, dtype=torch.float64)
    state = {"0.weight": weight, "2.weight": weight}
    loss = loss_of(module, state, inputs, torch.tensor([0, 1, 2]))
    hessian = Hessian(loss, loss.network.parameters)
    assert hessian.size == 9
    flat = torch.arange(9, dtype=torch.float64)
    step = 1e-5
    ahead, behind = (
        loss.slope({"0.weight": flat.view(3, 3)}, t, ("0.weight",))["0.weight"]
        for t in (step, -step)
    )
    expected = ((ahead - behind) / (2 * step)).flatten()
    assert torch.allclose(hessian(flat), expected, rtol=1e-5, atol=1e-6)
