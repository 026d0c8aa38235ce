"""Two classes of points in the plane: 1,000 to train, 1,000 to test, drawn with fixed seeds.

Circle, xor, gauss and spiral are the data sets without noise of the TensorFlow playground
(playground.tensorflow.org), written from their description and scaled from its [-5, 5] or
[-6, 6] to about [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from netdistance.training.tasks.losses import sign_accuracy, softplus_loss
from netdistance.training.tasks.task import Task

POINTS = 1_000  # in the training set, and again in the test set

Points = tuple[Tensor, Tensor]  # (POINTS, 2) float32 and +-1 (POINTS,) float32


def checkerboard() -> Task:
    """The 2 x 2 checkerboard: points uniform in [-1, 1]^2, y = +1 where both signs agree."""
    return _plane_task("checkerboard", _checkerboard_points, seed=1)


def circle() -> Task:
    """A disc of radius 0.5 (+1) in a ring from 0.7 to 1 (-1), radii and angles uniform."""
    return _plane_task("circle", _circle_points, seed=3)


def xor() -> Task:
    """The checkerboard with a gap: points uniform where |x| and |y| are in [0.06, 1.06]."""
    return _plane_task("xor", _xor_points, seed=5)


def gauss() -> Task:
    """Normal clouds about (0.4, 0.4), +1, and (-0.4, -0.4), -1, of variance 0.02 per axis."""
    return _plane_task("gauss", _gauss_points, seed=7)


def spiral() -> Task:
    """Two arms (r sin t, r cos t), t = 3.5 pi r, r uniform in [0, 1]; the -1 arm turned by pi."""
    return _plane_task("spiral", _spiral_points, seed=9)


def _plane_task(name: str, points: Callable[[torch.Generator], Points], *, seed: int) -> Task:
    """Training points drawn with `seed`, test points with the next one."""
    train_inputs, train_targets = points(torch.Generator().manual_seed(seed))
    test_inputs, test_targets = points(torch.Generator().manual_seed(seed + 1))
    return Task(
        name=name,
        train_inputs=train_inputs,
        train_targets=train_targets,
        test_inputs=test_inputs,
        test_targets=test_targets,
        outputs=1,
        loss=softplus_loss,
        accuracy=sign_accuracy,
    )


def _checkerboard_points(generator: torch.Generator) -> Points:
    inputs = 2.0 * _uniform(generator, POINTS, 2) - 1.0
    return inputs, _same_sign(inputs)


def _circle_points(generator: torch.Generator) -> Points:
    labels = _halves()
    part, turn = _uniform(generator, 2, POINTS)
    radius = torch.where(labels > 0.0, 0.5 * part, 0.7 + 0.3 * part)
    return _polar(radius, 2.0 * math.pi * turn), labels


def _xor_points(generator: torch.Generator) -> Points:
    inputs = 2.0 * _uniform(generator, POINTS, 2) - 1.0
    # the playground moves each coordinate 0.3 of 5 away from its axis
    inputs = inputs + torch.where(inputs >= 0.0, 0.06, -0.06)
    return inputs, _same_sign(inputs)


def _gauss_points(generator: torch.Generator) -> Points:
    labels = _halves()
    noise = torch.randn(POINTS, 2, generator=generator, dtype=torch.float64)
    return (0.4 * labels[:, None] + math.sqrt(0.02) * noise).float(), labels


def _spiral_points(generator: torch.Generator) -> Points:
    labels = _halves()
    radius = _uniform(generator, POINTS)
    turned = torch.where(labels > 0.0, 0.0, math.pi)
    return _polar(radius, 3.5 * math.pi * radius + turned), labels


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator, dtype=torch.float32)


def _halves() -> Tensor:
    """+1 for the first half of the points, -1 for the second: every batch is a random draw."""
    return torch.where(torch.arange(POINTS) < POINTS // 2, 1.0, -1.0)


def _polar(radius: Tensor, angle: Tensor) -> Tensor:
    """Rounded from float64, so that a processor's own sine leaves the bits as they are."""
    wide = angle.double()
    return torch.stack([radius * wide.sin(), radius * wide.cos()], dim=1).float()


def _same_sign(inputs: Tensor) -> Tensor:
    agree = (inputs[:, 0] >= 0.0) == (inputs[:, 1] >= 0.0)
    return agree.to(inputs.dtype) * 2.0 - 1.0
