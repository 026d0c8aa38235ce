"""The Mackey-Glass series: from four past values of a chaotic series, what comes P later?"""

from __future__ import annotations

from functools import partial

import torch

from netdistance.training.tasks.losses import relative_squared_error, target_variance
from netdistance.training.tasks.task import Task

EXAMPLES = 500  # to train, and again to test
LAGS = (0, 6, 12, 18)
DELAY = 17
STEPS_PER_UNIT = 10  # Runge-Kutta steps of 0.1
SETTLING = 300  # units of time before the first value that is used
_START = 1.2  # the series at all times up to 0


def mackey_glass(horizon: int = 6) -> Task:
    """x(t + horizon) from x(t), x(t - 6), x(t - 12), x(t - 18), at successive whole t.

    500 points to train and the 500 after them to test, as in Lapedes and Farber 1987 ("Nonlinear
    signal processing using neural networks", LA-UR-87-2662), whose network is 4-20-20-1. The loss
    is the mean squared error over the variance of the training targets: the square of NRMSE.
    """
    count = 2 * EXAMPLES
    series = mackey_glass_series(SETTLING + max(LAGS) + count + horizon)
    first = SETTLING + max(LAGS)
    # a list of floats made float32 at once: each is rounded once
    inputs = torch.tensor([[series[t - lag] for lag in LAGS] for t in range(first, first + count)])
    targets = torch.tensor(series[first + horizon : first + horizon + count])
    return Task(
        name="mackey-glass" if horizon == 6 else f"mackey-glass-{horizon}",
        train_inputs=inputs[:EXAMPLES],
        train_targets=targets[:EXAMPLES],
        test_inputs=inputs[EXAMPLES:],
        test_targets=targets[EXAMPLES:],
        outputs=1,
        loss=partial(relative_squared_error, variance=target_variance(targets[:EXAMPLES])),
        accuracy=None,
        network="mlp-tanh",
    )


def mackey_glass_series(units: int, *, steps_per_unit: int = STEPS_PER_UNIT) -> list[float]:
    """The series at t = 0, 1, ..., `units` - 1 from its equation.

    dx/dt = 0.2 x(t - 17)/(1 + x(t - 17)^10) - 0.1 x(t) (Mackey and Glass 1977), x = 1.2 up to 0. By
    the classical Runge-Kutta method in float64; half way between steps, the delayed value is that
    of the cubic through both ends with their slopes, of the same order. Nothing but sums, products
    and quotients is computed, so that the bits are those of every machine.
    """
    step = 1.0 / steps_per_unit
    delay = DELAY * steps_per_unit
    values = [_START] * (delay + 1)  # at the steps
    middles = [_START] * delay  # half way between them
    slope = _slope(_START, _START)
    for _ in range((units - 1) * steps_per_unit):
        x, middle, end = values[-1], middles[-delay], values[-delay]
        second = _slope(x + step * slope / 2.0, middle)
        third = _slope(x + step * second / 2.0, middle)
        fourth = _slope(x + step * third, end)
        values.append(x + step * (slope + 2.0 * (second + third) + fourth) / 6.0)
        after = _slope(values[-1], end)
        middles.append((x + values[-1]) / 2.0 + step * (slope - after) / 8.0)
        slope = after
    return values[delay::steps_per_unit]


def _slope(x: float, delayed: float) -> float:
    square = delayed * delayed
    fourth = square * square
    return 0.2 * delayed / (1.0 + fourth * fourth * square) - 0.1 * x
