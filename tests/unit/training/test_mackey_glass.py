"""The Mackey-Glass series against another solver, and what the literature reaches on it."""

import math

import numpy as np
import pytest
import torch

from netdistance.training.models import build_network
from netdistance.training.tasks import load_task
from netdistance.training.tasks.mackey_glass import mackey_glass_series


def by_heun(units, steps_per_unit):
    """The series by Heun's method, the average of the slopes at both ends: no half steps."""
    step, delay = 1.0 / steps_per_unit, 17 * steps_per_unit
    x = [1.2] * (delay + 1)

    def slope(value, delayed):
        return 0.2 * delayed / (1.0 + delayed**10) - 0.1 * value

    for _ in range((units - 1) * steps_per_unit):
        here = slope(x[-1], x[-delay - 1])
        there = slope(x[-1] + step * here, x[-delay])
        x.append(x[-1] + step * (here + there) / 2.0)
    return np.array(x[delay::steps_per_unit])


def test_the_series_is_that_of_another_solver():
    ours = np.array(mackey_glass_series(300))
    coarse, fine = by_heun(300, 100), by_heun(300, 200)
    # Heun's error is of second order: a third of the difference is what the finer one still has
    extrapolated = fine + (fine - coarse) / 3.0
    assert np.abs(ours - extrapolated).max() < 1e-6
    assert np.abs(ours - coarse).max() > 1e-6


def test_its_error_is_of_fourth_order():
    exact, fine, coarse = (
        np.array(mackey_glass_series(600, steps_per_unit=steps)) for steps in (80, 20, 10)
    )
    ratio = np.abs(coarse - exact).max() / np.abs(fine - exact).max()
    assert 12.0 < ratio < 20.0


def test_it_starts_at_its_history():
    series = mackey_glass_series(18)
    assert (series[0], len(series)) == (1.2, 18)
    # with a constant delayed value the equation is linear: x tends to 2 x its delayed term
    limit = 2.0 * 1.2 / (1.0 + 1.2**10)
    closed = [limit + (1.2 - limit) * math.exp(-0.1 * t) for t in range(18)]
    assert series == pytest.approx(closed, rel=1e-8)


@pytest.mark.parametrize(("name", "horizon"), [("mackey-glass", 6), ("mackey-glass-85", 85)])
def test_inputs_are_lags_of_the_targets(name, horizon):
    task = load_task(name)
    assert task.train_inputs.shape == task.test_inputs.shape == (500, 4)
    inputs = torch.cat([task.train_inputs, task.test_inputs])
    targets = torch.cat([task.train_targets, task.test_targets])
    for column, lag in enumerate((0, 6, 12, 18)):
        gap = horizon + lag
        assert torch.equal(inputs[gap:, column], targets[:-gap])


@pytest.mark.parametrize(("name", "nrmse"), [("mackey-glass", 0.43), ("mackey-glass-85", 0.58)])
def test_what_a_linear_prediction_reaches(name, nrmse):
    task = load_task(name)
    train, test = (
        torch.cat([x, torch.ones(500, 1)], dim=1).double()
        for x in (task.train_inputs, task.test_inputs)
    )
    weights = torch.linalg.lstsq(train, task.train_targets.double()[:, None]).solution
    loss = float(task.loss(test @ weights, task.test_targets.double()))
    assert math.sqrt(loss) == pytest.approx(nrmse, rel=0.1)


@pytest.mark.slow
def test_the_network_of_lapedes_and_farber():
    task = load_task("mackey-glass")
    network = build_network("mlp-tanh", task, depth=2, width=20, init="he", seed=1).double()
    optimizer = torch.optim.LBFGS(
        network.parameters(),
        max_iter=1500,
        history_size=50,
        line_search_fn="strong_wolfe",
        tolerance_grad=0.0,
        tolerance_change=0.0,
    )

    def closure():
        optimizer.zero_grad()
        loss = task.loss(network(task.train_inputs.double()), task.train_targets.double())
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        loss = task.loss(network(task.test_inputs.double()), task.test_targets.double())
    # 0.0122 after more iterations; 0.0178 after these
    assert math.sqrt(float(loss)) < 2 * 0.0122
