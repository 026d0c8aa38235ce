"""Make the demo's files: train a small network on three spiral arms, and round it to 4 bits.

    python scripts/make_demo.py

Writes netdistance/demo/: spiral.safetensors (the trained network), spiral-int4.safetensors (its
weights rounded to 4 bits, biases kept), points.npy and labels.npy (1,000 points that it was not
trained on). Everything is drawn from seed 0; training takes about ten seconds on one core.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from netdistance import demo
from netdistance.demo.network import CLASSES, build

SEED = 0
STEPS = 4000
GROUP = 128  # elements of a row that share one 4-bit scale


def spiral(points: int, generator: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Points (N, 2) of three arms that turn once around the origin, and the arm of each (N,)."""
    labels = generator.integers(0, CLASSES, points)
    radius = np.sqrt(generator.uniform(0.01, 1.0, points))
    angle = 2 * math.pi * (radius + labels / CLASSES) + generator.normal(0.0, 0.12, points)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype(np.float32), labels


def train(points: NDArray, labels: NDArray) -> dict[str, Tensor]:
    """The trained state: AdamW with weight decay, its learning rate falling to a hundredth.

    Weight decay removes what cross-entropy cannot see: a value common to all three outputs, which
    would make every relative deviation look small.
    """
    generator = torch.Generator().manual_seed(SEED)
    network = build()
    for tensor in network.parameters():
        fan_in = tensor.shape[1] if tensor.ndim == 2 else 1
        scale = math.sqrt(2.0 / fan_in) if tensor.ndim == 2 else 0.1
        torch.nn.init.normal_(tensor, 0.0, scale, generator=generator)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS, eta_min=0.0001)
    x, y = torch.from_numpy(points), torch.from_numpy(labels)
    for _ in range(STEPS):
        batch = torch.randint(0, len(x), (128,), generator=generator)
        optimizer.zero_grad()
        functional.cross_entropy(network(x[batch]), y[batch]).backward()
        optimizer.step()
        schedule.step()
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def round_to_int4(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each weight on a grid of 15 levels a group: step max/7, groups of 128 along a row."""
    rounded = {}
    for name, tensor in state.items():
        rounded[name] = tensor.clone()
        if tensor.ndim < 2:
            continue
        for row in rounded[name].flatten(1):
            for group in row.split(GROUP):
                step = group.abs().max() / 7
                group.copy_((group / step).round() * step)
    return rounded


def main() -> None:
    """Train, round, and write the four files."""
    torch.set_num_threads(1)
    generator = np.random.default_rng(SEED)
    state = train(*spiral(3000, generator))
    points, labels = spiral(1000, generator)
    save_file(state, demo.TRAINED)
    save_file(round_to_int4(state), demo.ROUNDED)
    np.save(demo.POINTS, points)
    np.save(demo.LABELS, labels)


if __name__ == "__main__":
    main()
