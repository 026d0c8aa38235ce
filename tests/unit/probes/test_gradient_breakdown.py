"""A moved gradient against formulas by hand, second derivatives and dense scans."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netdistance.errors import InputError
from netdistance.probes.crossing import RESOLUTION
from netdistance.probes.gradient_breakdown import Start
from netdistance.probes.mean_loss import MeanLoss
from netdistance.quantities import Exact, Skipped, point
from tests.oracles.linear_gradients import loss_and_gradients
from tests.unit.probes.labelled import linear_problem, loss_of, relu_problem

NAMES = ("0.weight", "1.weight")
RELU = ("0.weight", "2.weight", "4.weight")


def linear_network() -> MeanLoss:
    """4-6-3 without activation on 20 points."""
    module = nn.Sequential(nn.Linear(4, 6, bias=False), nn.Linear(6, 3, bias=False))
    generator = torch.Generator().manual_seed(2)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    state = {"0.weight": drawn(6, 4), "1.weight": drawn(3, 6)}
    targets = torch.randint(0, 3, (20,), generator=generator)
    return loss_of(module, state, drawn(20, 4), targets)


def by_hand(loss: MeanLoss, state: Mapping[str, Tensor]) -> tuple[float, dict[str, np.ndarray]]:
    """The oracle's loss and gradients at some weights."""
    first, second = (state[name].numpy() for name in NAMES)
    assert isinstance(loss.inputs, Tensor)
    found, *gradients = loss_and_gradients(first, second, loss.inputs.numpy(), loss.targets.numpy())
    return found, dict(zip(NAMES, gradients, strict=True))


@pytest.mark.parametrize("size", [1e-3, 0.03, 1.0])
def test_a_step_down_a_linear_network_is_that_by_hand(size: float) -> None:
    loss = linear_network()
    value, before = by_hand(loss, loss.state)
    weights = {name: loss.state[name].numpy() for name in NAMES}
    moves = {
        name: -size * np.linalg.norm(w) / np.linalg.norm(before[name]) * before[name]
        for name, w in weights.items()
    }
    there = {name: torch.from_numpy(w + moves[name]) for name, w in weights.items()}
    value_there, after = by_hand(loss, there)
    start = Start.of(loss, NAMES)
    found = start.moved(start.downhill(), size)
    assert start.value == pytest.approx(value, rel=1e-13)
    assert found.loss == pytest.approx(value_there, rel=1e-13)
    for name, motion in found.tensors.items():
        change = np.linalg.norm(after[name] - before[name]) / np.linalg.norm(before[name])
        assert point(motion.gradient_change) == pytest.approx(change, rel=1e-9)
        assert point(motion.relative_step) == pytest.approx(size, rel=1e-12)
        assert motion.inner == pytest.approx(float((moves[name] * before[name]).sum()), rel=1e-12)
        assert point(motion.cosine) == pytest.approx(1.0, abs=1e-12)


def test_a_way_to_other_weights_is_that_by_hand() -> None:
    loss = linear_network()
    generator = torch.Generator().manual_seed(8)
    other = {n: torch.randn(w.shape, generator=generator).double() for n, w in loss.state.items()}
    start = Start.of(loss, NAMES)
    found = start.moved(start.toward(other), 0.25)
    _, before = by_hand(loss, loss.state)
    quarter = {n: w + 0.25 * (other[n] - w) for n, w in loss.state.items()}
    value, after = by_hand(loss, quarter)
    assert found.loss == pytest.approx(value, rel=1e-13)
    for name, motion in found.tensors.items():
        weight, gradient = loss.state[name].numpy(), before[name]
        move = 0.25 * (other[name].numpy() - weight)
        size = np.linalg.norm(move) / np.linalg.norm(weight)
        cosine = -(move * gradient).sum() / np.linalg.norm(move) / np.linalg.norm(gradient)
        change = np.linalg.norm(after[name] - gradient) / np.linalg.norm(gradient)
        assert point(motion.relative_step) == pytest.approx(size, rel=1e-12)
        assert point(motion.cosine) == pytest.approx(cosine, rel=1e-9)
        assert point(motion.gradient_change) == pytest.approx(change, rel=1e-9)


def test_a_small_move_changes_the_gradient_by_the_hessian() -> None:
    loss = linear_network()
    start = Start.of(loss, NAMES)
    change = start.downhill()
    second = loss.hessian_product(change)
    for name, motion in start.moved(change, 1e-5).tensors.items():
        expected = 1e-5 * float(second[name].norm())
        assert motion.change == pytest.approx(expected, rel=1e-3)


def test_the_inner_product_is_the_slope_of_the_loss() -> None:
    loss = relu_problem(bias=True)
    start = Start.of(loss, RELU)
    change = start.downhill()
    found = start.moved(change, 1e-6)
    slope = (loss.at(change, 1e-6).loss - loss.at(change, -1e-6).loss) / 2.0
    assert sum(m.inner for m in found.tensors.values()) == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_step_is_as_the_dtype_holds_it(dtype: torch.dtype) -> None:
    loss = relu_problem(dtype=dtype)
    start = Start.of(loss, RELU)
    change = start.downhill()
    for name, motion in start.moved(change, 1e-3).tensors.items():
        weight = loss.state[name]
        realised = weight.add(change[name], alpha=1e-3).double() - weight.double()
        expected = float(realised.norm() / weight.double().norm())
        assert point(motion.relative_step) == pytest.approx(expected, rel=1e-12)
        assert (expected == pytest.approx(1e-3, rel=1e-4)) == (dtype == torch.float32)


def test_the_loss_falls_until_a_dense_scan_says() -> None:
    loss = relu_problem()
    start = Start.of(loss, RELU)
    change = start.downhill()
    levels = torch.logspace(-4, 1, 2000, dtype=torch.float64).tolist()
    first = next(t for t in levels if loss.at(change, t).loss >= start.value)
    found = start.falls_until(change)
    assert isinstance(found, Exact)
    assert levels[levels.index(first) - 1] <= found.value * (1 + 2 * RESOLUTION)
    assert found.value <= first * (1 + 2 * RESOLUTION)


def test_a_loss_that_only_falls_or_only_rises_has_no_number() -> None:
    loss = linear_problem()
    start = Start.of(loss, ("weight",))
    down = start.downhill()
    assert start.falls_until(down) == Skipped(
        "the loss is lower up to 1000%, the largest step tried"
    )
    up = start.falls_until({"weight": -down["weight"]})
    assert up == Skipped("the loss is no lower at 0.01%, the smallest step tried")


def test_a_dead_layer_and_a_zero_weight_have_reasons() -> None:
    module = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3, bias=False))
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn((9, 4), generator=generator)
    state = {name: own.detach().clone() for name, own in module.state_dict().items()}
    state["0.bias"] = torch.full((6,), -100.0)  # no neuron is ever on
    state["2.weight"] = torch.zeros(3, 6)
    start = Start.of(loss_of(module, state, inputs, torch.arange(9) % 3), ("0.weight", "2.weight"))
    found = start.moved(start.downhill(), 0.1)
    dead, zero = found.tensors["0.weight"], found.tensors["2.weight"]
    assert dead.relative_step == Exact(0.0)
    for motion in (dead, zero):
        assert isinstance(motion.gradient_change, Skipped)
        assert motion.gradient_change.reason.startswith("the gradient is zero")
        assert isinstance(motion.cosine, Skipped)
    assert isinstance(zero.relative_step, Skipped)
    assert zero.relative_step.reason.startswith("the tensor is zero and stays")
    toward = start.moved(start.toward({**state, "2.weight": torch.ones(3, 6)}), 1.0)
    moves = toward.tensors["2.weight"].relative_step
    assert isinstance(moves, Skipped) and moves.reason.startswith("the tensor is zero and moves")


def test_a_move_that_is_not_finite_has_reasons() -> None:
    loss = linear_network()
    start = Start.of(loss, NAMES)
    other = {**loss.state, "0.weight": torch.full((6, 4), math.nan, dtype=torch.float64)}
    found = start.moved(start.toward(other), 1.0)
    moved, still = found.tensors["0.weight"], found.tensors["1.weight"]
    assert math.isnan(found.loss)
    assert moved.relative_step == Skipped("the move is not finite")
    assert moved.cosine == Skipped("a move or a gradient is not finite")
    assert still.relative_step == Exact(0.0)
    assert still.gradient_change == Skipped("the gradient there is not finite")


def test_a_network_without_a_gradient_is_an_error() -> None:
    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(2, 3)

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                out: Tensor = self.a(x)
                return out

    module = Frozen()
    state = {name: own.detach().clone() for name, own in module.state_dict().items()}
    loss = loss_of(module, state, torch.ones(3, 2), torch.tensor([0, 1, 2]))
    with pytest.raises(InputError, match="gives no gradient, and gradients needs one"):
        Start.of(loss, ("a.weight",))
