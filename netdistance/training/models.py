"""Networks to train, initialised from a generator of their own."""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn

from netdistance.training.tasks import Task


def mlp(*, inputs: int, outputs: int, depth: int, width: int, seed: int) -> nn.Sequential:
    """A ReLU network of `depth` hidden layers of `width` neurons, with biases, in float32.

    Weights are Gaussian: variance 2/fan_in in hidden layers (He et al. 2015, arXiv 1502.01852),
    1/fan_in in the last. Biases are uniform within 1/sqrt(fan_in), as in torch, and not zero: a
    zero bias has no scale of its own for a relative step. The global generator is not touched.

    >>> [tuple(p.shape) for p in mlp(inputs=2, outputs=1, depth=2, width=4, seed=0).parameters()]
    [(4, 2), (4,), (4, 4), (4,), (1, 4), (1,)]
    """
    generator = torch.Generator().manual_seed(seed)
    sizes = [inputs, *[width] * depth]
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [_linear(fan_in, fan_out, gain=2.0, generator=generator), nn.ReLU()]
    layers.append(_linear(sizes[-1], outputs, gain=1.0, generator=generator))
    return nn.Sequential(*layers)


def _linear(fan_in: int, fan_out: int, *, gain: float, generator: torch.Generator) -> nn.Linear:
    # nn.Linear's own initialisation would draw from the global generator
    layer = nn.Linear(fan_in, fan_out, device="meta", dtype=torch.float32).to_empty(device="cpu")
    bound = 1.0 / math.sqrt(fan_in)
    with torch.no_grad():
        layer.weight.normal_(0.0, math.sqrt(gain / fan_in), generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


INITS = ("he", "torch")


def require_init(init: str) -> None:
    """Shim."""


def build_network(
    name: str, task: Task, *, depth: int, width: int, init: str, seed: int
) -> nn.Module:
    """Shim."""
    return mlp(
        inputs=task.train_inputs.shape[1], outputs=task.outputs, depth=depth, width=width, seed=seed
    )
