"""perturb against the bare forward passes that it needs, and Fromage's step against SGD's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from netdistance.optim import Fromage
from netdistance.studies.perturb import PerturbOptions, perturb

_INPUTS, _DRAWS, _BATCH = 4096, 8, 512


def build() -> nn.Module:
    """A convolutional network for 28 x 28 images, 166 thousand parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, 1), nn.ReLU(), nn.Flatten(),
        nn.Linear(1568, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip


def perturb_speed() -> dict[str, float]:
    """Perturb without attack and certificates, over its forwards; the bar is a ratio of 1.3."""
    with TemporaryDirectory() as folder:
        checkpoint, inputs = Path(folder, "a.safetensors"), Path(folder, "inputs.npy")
        save_file(build().state_dict(), checkpoint)
        images = np.random.default_rng(0).random((_INPUTS, 1, 28, 28), dtype=np.float32)
        np.save(inputs, images)
        options = PerturbOptions(
            model="benchmarks.networks:build", inputs=inputs, noise=("0.01", "0.1"), draws=_DRAWS,
            certify=0, batch_size=_BATCH, device="cpu",
        )  # fmt: skip
        network, batches = build().eval(), torch.split(torch.from_numpy(images), _BATCH)
        passes = 1 + _DRAWS * 2 * 2  # the reference, then draws x levels x scopes

        def forwards() -> None:
            with torch.inference_mode():
                for _ in range(passes):
                    for batch in batches:
                        network(batch)

        medians = in_turns(
            {"forwards": forwards, "perturb": lambda: perturb(checkpoint, options)}, 5
        )
    return {
        "perturb_seconds": medians["perturb"],
        "perturb_over_forwards": medians["perturb"] / medians["forwards"],
    }


def fromage_step() -> dict[str, float]:
    """Fromage over SGD with momentum, 20 M parameters on the CPU; the bar is a ratio of 1.2."""

    def parameters() -> list[nn.Parameter]:
        generator = torch.Generator().manual_seed(0)
        shapes = [(1024, 768), (1024,), (768,)] * 25
        result = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
        for parameter in result:
            parameter.grad = torch.randn(parameter.shape, generator=generator) * 1e-3
        return result

    sgd = torch.optim.SGD(parameters(), lr=1e-9, momentum=0.9)
    fromage = Fromage(parameters(), lr=1e-3)
    medians = in_turns({"sgd": sgd.step, "fromage": fromage.step}, 25)
    return {
        "fromage_step_seconds": medians["fromage"],
        "fromage_over_sgd_momentum": medians["fromage"] / medians["sgd"],
    }


def in_turns(work: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each, run in turns so that noise hits all alike, after one warm-up."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats + 1):
        for name, function in work.items():
            begun = time.perf_counter()
            function()
            taken[name].append(time.perf_counter() - begun)
    return {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}
