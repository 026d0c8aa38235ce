"""Rows of gradient breakdown: what they are made of, and what holds between them."""

from __future__ import annotations

from statistics import fmean, stdev

import pytest
import torch
from torch import nn

from netdistance.bounds.trust import log1p_sum
from netdistance.probes.gradient_breakdown import Start
from netdistance.probes.gradient_rows import PLACES, along_noise, along_pair, along_step
from netdistance.probes.mean_loss import MeanLoss
from netdistance.probes.noise import unit_noise
from netdistance.quantities import Estimate, Exact, Skipped, point
from netdistance.report.gradient_rows import GradientPoint
from tests.unit.probes.labelled import loss_of, relu_problem
from tests.unit.probes.test_curvature import tanh_problem

RELU = ("0.weight", "2.weight", "4.weight")
SIZES = (0.003, 0.03, 0.3)


def relu_start() -> Start:
    return Start.of(relu_problem(bias=True), RELU)


def number(value: object) -> float:
    """A quantity that has to have a number."""
    found = point(value)  # type: ignore[arg-type]
    assert found is not None, value
    return found


def test_the_rows_of_a_step() -> None:
    start = relu_start()
    points, descent = along_step(start, SIZES)
    change = start.downhill()
    assert [(p.move, p.size) for p in points] == [("step", size) for size in SIZES]
    for place in points:
        found = start.moved(change, place.size)
        assert [row.tensor for row in place.tensors] == list(RELU)
        changes = [number(row.gradient_change) for row in place.tensors]
        assert changes == [number(m.gradient_change) for m in found.tensors.values()]
        assert place.gradient_change == place.trust.measured == Exact(max(changes))
        assert place.loss == Exact(found.loss)
        for row in place.tensors:
            alone = {**start.loss.state, row.tensor: _moved(start, row.tensor, place.size)}
            assert number(row.loss) == pytest.approx(_loss_at(start.loss, alone), rel=1e-12)
        steps = [number(row.relative_step) for row in place.tensors]
        assert steps == pytest.approx([place.size] * 3, rel=1e-12)
        assert number(place.trust.log1p_sum) == pytest.approx(log1p_sum([place.size] * 3))
        assert number(place.trust.value) == pytest.approx((1.0 + place.size) ** 3 - 1.0)
        assert (place.trust.standing, place.trust.over) == ("modelled", "known")
    assert number(descent.smallest_cosine) == pytest.approx(1.0, abs=1e-12)
    row = descent.max_relative_step
    assert number(row.value) == pytest.approx(2.0 ** (1.0 / 3.0) - 1.0, rel=1e-9)
    # the change of the probe and that of the test differ in their last bits
    assert number(row.measured) == pytest.approx(number(start.falls_until(change)), rel=1e-9)


def _moved(start: Start, name: str, size: float) -> torch.Tensor:
    weight, gradient = start.loss.state[name], start.gradient[name]
    return weight - size * weight.norm() / gradient.norm() * gradient


def _loss_at(loss: MeanLoss, state: dict[str, torch.Tensor]) -> float:
    outputs = torch.func.functional_call(loss.network.module, state, (loss.inputs,))
    return float(nn.functional.cross_entropy(outputs, loss.targets))


def test_noise_is_the_mean_over_draws() -> None:
    start = relu_start()
    points = along_noise(start, SIZES, draws=3, seed=5)
    for place in points:
        drawn = [
            start.moved(unit_noise(start.loss.state, RELU, seed=5 + draw), place.size)
            for draw in range(3)
        ]
        largest = [max(number(m.gradient_change) for m in d.tensors.values()) for d in drawn]
        assert place.gradient_change == Estimate(fmean(largest), stdev(largest) / 3**0.5)
        assert place.trust.measured == Exact(max(largest))
        losses = [d.loss for d in drawn]
        assert place.loss == Estimate(fmean(losses), stdev(losses) / 3**0.5)
        for row in place.tensors:
            own = [number(d.tensors[row.tensor].gradient_change) for d in drawn]
            assert row.gradient_change == Estimate(fmean(own), stdev(own) / 3**0.5)
            assert row.loss is None
        assert place.loss_change is None and place.trust.over == "draws"


def test_the_realised_size_of_noise_is_the_size_asked() -> None:
    for place in along_noise(relu_start(), SIZES, draws=4, seed=0):
        for row in place.tensors:
            assert isinstance(row.relative_step, Estimate)
            assert row.relative_step.value == pytest.approx(place.size, rel=1e-12)
            assert row.relative_step.stderr <= 1e-12 * place.size


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    first, again, other = (
        along_noise(relu_start(), SIZES, draws=2, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert along_step(relu_start(), SIZES) == along_step(relu_start(), SIZES)


def other_state(start: Start, seed: int = 4) -> dict[str, torch.Tensor]:
    """Weights a third of the way to other ones, biases included."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: own + 0.3 * torch.randn(own.shape, generator=generator, dtype=torch.float64)
        for name, own in start.loss.state.items()
    }


def test_the_rows_of_a_pair() -> None:
    start = relu_start()
    other = other_state(start)
    points, descent = along_pair(start, other)
    assert [(p.move, p.size) for p in points] == [("pair", t) for t in PLACES]
    relative = [
        float((other[n] - w).norm() / w.norm()) for n, w in start.loss.state.items() if n in RELU
    ]
    cosines = [
        -float(((other[n] - start.loss.state[n]) * g).sum())
        / float((other[n] - start.loss.state[n]).norm() * g.norm())
        for n, g in start.gradient.items()
    ]
    for place in points:
        steps = [number(row.relative_step) for row in place.tensors]
        assert steps == pytest.approx([place.size * r for r in relative], rel=1e-9)
        assert number(place.trust.log1p_sum) == pytest.approx(log1p_sum(steps), rel=1e-12)
        # at t = 1 the weights are b's, and the biases are still a's
        there = {
            n: w + place.size * (other[n] - w) if n in RELU else w
            for n, w in start.loss.state.items()
        }
        assert number(place.loss) == pytest.approx(_loss_at(start.loss, there), rel=1e-9)
    assert number(descent.smallest_cosine) == pytest.approx(min(cosines), rel=1e-9)


def test_lemma_2_of_a_pair_has_the_real_angles_and_is_skipped_uphill() -> None:
    start = relu_start()
    down = start.downhill()
    tilt = unit_noise(start.loss.state, RELU, seed=0)
    tilted = {
        n: w + 0.1 * (down[n] + 0.5 * tilt[n]) if n in RELU else w
        for n, w in start.loss.state.items()
    }
    _, descent = along_pair(start, tilted)
    cosine = number(descent.smallest_cosine)
    assert 0.5 < cosine < 0.99
    expected = (1.0 + cosine) ** (1.0 / 3.0) - 1.0
    assert number(descent.max_relative_step.value) == pytest.approx(expected, rel=1e-12)
    most = max(
        float((tilted[n] - start.loss.state[n]).norm() / start.loss.state[n].norm()) for n in RELU
    )
    # the measured step is in the tensor that moves most
    unit = {n: (tilted[n] - start.loss.state[n]) / most for n in RELU}
    assert descent.max_relative_step.measured == start.falls_until(unit)
    uphill = {n: w - 0.1 * down[n] if n in RELU else w for n, w in start.loss.state.items()}
    _, descent = along_pair(start, uphill)
    assert isinstance(value := descent.max_relative_step.value, Skipped)
    assert value.reason == "a tensor does not move down its gradient (cosine -1)"
    assert isinstance(descent.max_relative_step.measured, Skipped)


def test_the_same_weights_are_no_move() -> None:
    start = relu_start()
    points, descent = along_pair(start, start.loss.state)
    for place in points:
        assert {row.relative_step for row in place.tensors} == {Exact(0.0)}
        assert place.gradient_change == place.trust.value == Exact(0.0)
    assert descent.smallest_cosine == Skipped("nothing moves")
    assert descent.max_relative_step.measured == Skipped("nothing moves")


def test_a_zero_weight_leaves_the_trust_of_a_pair_without_a_number() -> None:
    loss = relu_problem()
    state = {**loss.state, "4.weight": torch.zeros_like(loss.state["4.weight"])}
    start = Start.of(loss_of(loss.network.module, state, _inputs(loss), loss.targets), RELU)
    points, descent = along_pair(start, loss.state)
    assert isinstance(value := points[-1].trust.value, Skipped)
    assert value.reason.startswith("a weight has no relative step: the tensor is zero and moves")
    assert isinstance(measured := descent.max_relative_step.measured, Skipped)
    assert measured.reason.startswith("a tensor that moves is zero")
    # down the gradient it stays, and trust is of the tensors that move
    (place,), descent = along_step(start, (0.1,))
    assert place.trust.assumptions[1] == "product over 0 weights"
    assert descent.max_relative_step.measured == Skipped("nothing moves")
    assert place.gradient_change == Exact(0.0)  # of 4.weight, whose gradient is not zero


def _inputs(loss: MeanLoss) -> torch.Tensor:
    assert isinstance(loss.inputs, torch.Tensor)
    return loss.inputs


def test_a_loss_that_is_not_finite_has_a_reason() -> None:
    start = relu_start()
    points, _ = along_step(start, (0.1, 1e120))
    for value in (points[1].loss, points[1].gradient_change):
        assert isinstance(value, Skipped) and "not finite" in value.reason
    # a largest change that is known up to there would hide that it is not known there
    assert points[1].loss_change is not None
    assert isinstance(points[1].loss_change.value, Skipped)
    (place,) = along_noise(start, (1e300,), draws=2, seed=0)
    assert isinstance(place.loss, Skipped) and isinstance(place.gradient_change, Skipped)


def test_trust_that_overflows_keeps_its_sum() -> None:
    points, _ = along_step(relu_start(), (1e150,))
    assert isinstance(points[0].trust.value, Skipped)
    assert number(points[0].trust.log1p_sum) == pytest.approx(log1p_sum([1e150] * 3))


def smooth_points(sizes: tuple[float, ...]) -> tuple[GradientPoint, ...]:
    loss = tanh_problem()
    return along_step(Start.of(loss, loss.network.parameters), sizes)[0]


def test_trust_counts_tensors_with_two_or_more_axes_alone() -> None:
    (place,) = smooth_points((0.1,))
    assert [row.tensor for row in place.tensors] == ["0.weight", "0.bias", "3.weight", "3.bias"]
    assert number(place.trust.value) == pytest.approx(1.1**2 - 1.0, rel=1e-9)


def test_lemma_1_holds_where_the_way_is_sampled_densely() -> None:
    sizes = tuple(torch.linspace(0.01, 1.0, 100).tolist())
    for place in smooth_points(sizes):
        assert place.loss_change is not None
        assert number(place.loss_change.measured) <= number(place.loss_change.value) + 1e-12


def test_lemma_1_is_by_the_largest_change_so_far() -> None:
    points = smooth_points((0.05, 0.4, 0.8))
    last = points[-1]
    loss = tanh_problem()
    start = Start.of(loss, loss.network.parameters)
    change = start.downhill()
    expected = 0.0
    for name in start.gradient:
        found = [start.moved(change, size).tensors[name] for size in (0.05, 0.4, 0.8)]
        expected += found[-1].inner + found[-1].step * max(m.change for m in found)
    assert last.loss_change is not None
    assert number(last.loss_change.value) == pytest.approx(expected, rel=1e-12)


def test_deep_relative_trust_is_violated_down_the_gradient() -> None:
    # a model of this change, and no bound: nobody may relabel it
    points, _ = along_step(relu_start(), (0.001, 0.01, 0.1))
    for place in points:
        assert number(place.trust.measured) > 2.0 * number(place.trust.value)
        assert "not a bound" in place.trust.assumptions[0]
