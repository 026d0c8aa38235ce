"""As in Figure 1 of arXiv 2002.03432: gradient breakdown with two and with sixteen layers.

Each network, ReLU of width 784 with biases, is trained by Fromage on the 10,000 images of the MNIST
test set and then asked how far it may step down its own gradient:

    python examples/gradient_breakdown.py FOLDER_OF_IDX_FILES OUT [--width 784] [--steps 400]

OUT gets `layers-2.safetensors`, `layers-2.png`, `layers-2.json` and the same for sixteen layers. A
few minutes on two cores; `--width 32 --steps 20` takes seconds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR

import netdistance
from netdistance.networks.inputs import load_inputs, load_targets
from netdistance.optim import Fromage
from netdistance.training.models import mlp

IMAGES, LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
LAYERS = (2, 16)
BATCH = 128
ASKED = 1_000  # images over which the gradient is taken


def build(layers: int, width: int) -> nn.Module:
    """A ReLU network of so many linear layers, for images of 28 x 28."""
    return nn.Sequential(
        nn.Flatten(), *mlp(inputs=784, outputs=10, depth=layers - 1, width=width, seed=0)
    )


def train(network: nn.Module, images: Tensor, labels: Tensor, steps: int) -> None:
    """Steps of Fromage on random batches, from the paper's learning rate of 0.01 down to 0."""
    optimizer = Fromage(network.parameters(), lr=0.01)
    schedule = LambdaLR(optimizer, lambda step: 1.0 - step / steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        chosen = torch.randint(0, len(images), (BATCH,), generator=generator)
        optimizer.zero_grad()
        cross_entropy(network(images[chosen]), labels[chosen]).backward()
        optimizer.step()
        schedule.step()


def main() -> None:
    """Train both networks, ask each, and leave weights, figure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help=f"the folder of {IMAGES} and {LABELS}")
    parser.add_argument("out", type=Path, help="the folder to write into")
    parser.add_argument("--width", type=int, default=784)
    parser.add_argument("--steps", type=int, default=400)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    images = load_inputs(given.data / IMAGES).values
    assert isinstance(images, Tensor)
    labels = load_targets(given.data / LABELS, len(images))
    for layers in LAYERS:
        network, name = build(layers, given.width), given.out / f"layers-{layers}"
        train(network, images, labels, given.steps)
        save_file(network.state_dict(), name.with_suffix(".safetensors"))
        options = netdistance.GradientsOptions(
            model=network, inputs=images[:ASKED], targets=labels[:ASKED]
        )
        report = netdistance.gradients(network, options)
        name.with_suffix(".png").write_bytes(netdistance.render(report, "png"))
        name.with_suffix(".json").write_bytes(netdistance.render(report, "json"))
        sys.stdout.write(f"{layers} layers\n{report}\n")


if __name__ == "__main__":
    main()
