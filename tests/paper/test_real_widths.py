"""How wide the minima of real networks are, held against evaluations by torch alone."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from netdistance.checkpoints import open_checkpoint
from netdistance.networks.inputs import load_inputs, load_targets
from netdistance.networks.load import load_network
from netdistance.probes.noise import unit_noise
from netdistance.quantities import Estimate, Exact, Interval
from netdistance.report.document import Report
from netdistance.report.width_rows import WidthRow
from netdistance.studies.width import WidthOptions, width
from tests.paper.convex_network import build
from tests.paper.test_cifar_networks import ADVERSARIAL, MIXED
from tests.paper.test_cifar_networks import MODEL as CIFAR

pytestmark = pytest.mark.real_data

MODEL = "tests.paper.convex_network:build"
MNIST = "checkpoints/mnist_convex_adversarial.pth"
COUNT, TOLERANCE = 128, 0.1


@pytest.fixture
def few(real_data: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The first images and labels of the MNIST test set."""
    inputs = load_inputs(real_data / "inputs/t10k-images-idx3-ubyte.gz").values
    labels = load_targets(real_data / "inputs/t10k-labels-idx1-ubyte.gz", len(inputs))
    np.save(tmp_path / "x.npy", inputs[:COUNT].numpy())
    np.save(tmp_path / "y.npy", labels[:COUNT].numpy())
    return tmp_path / "x.npy", tmp_path / "y.npy"


def row_of(report: Report, directions: str, layer: str | None) -> WidthRow:
    (row,) = (r for r in report.width or () if (r.directions, r.layer) == (directions, layer))
    return row


def value_of(row: WidthRow) -> float:
    assert isinstance(row.radius, Estimate | Exact), row.radius
    return row.radius.value


def torch_rise(folder: Path, few: tuple[Path, Path], level: float) -> float:
    """The loss over that at the weights, the first draw's noise added to the module itself."""
    module = build().requires_grad_(False).eval()
    network = load_network(MODEL, device="cpu")
    with open_checkpoint(folder / MNIST) as checkpoint:
        state = network.state_from(checkpoint)
    module.load_state_dict(state)
    moved = copy.deepcopy(module)
    names = tuple(name for name in network.parameters if state[name].ndim >= 2)
    noise = unit_noise(state, names, seed=0)
    for name, parameter in moved.named_parameters():
        if name in noise:
            assert float(noise[name].norm() / parameter.norm()) == pytest.approx(1.0, rel=1e-5)
            parameter += level * noise[name]
    inputs, labels = (torch.from_numpy(np.load(path)) for path in few)
    losses = [functional.cross_entropy(net(inputs), labels.long()) for net in (moved, module)]
    return float(losses[0] - losses[1])


def test_a_trained_mnist_network(real_data: Path, few: tuple[Path, Path]) -> None:
    options = WidthOptions(
        model=MODEL, inputs=few[0], targets=few[1], draws=2, layer_draws=2, eigenvalues=2,
        device="cpu",
    )  # fmt: skip
    report = width(real_data / MNIST, options)
    layers = [row.layer for row in report.width or () if row.directions == "worst"]
    assert layers == [None, "0", "2", "5", "7"]
    worst = {layer: value_of(row_of(report, "worst", layer)) for layer in layers}
    assert worst[None] <= min(worst.values())
    for layer in layers:
        drawn = row_of(report, "random", layer).quantiles
        assert worst[layer] <= drawn["0.0"]
    # an ascent that finds nothing would stop at the draws
    assert worst[None] < 0.1 * row_of(report, "random", None).quantiles["0.0"]
    ends = row_of(report, "random", None).quantiles
    first = [
        end for end in ends.values() if abs(torch_rise(real_data, few, end) - TOLERANCE) < 1e-3
    ]
    assert first  # the first of the two draws is one of the two ends
    assert torch_rise(real_data, few, first[0] * (1.0 - 5e-4)) < TOLERANCE
    assert report.curvature is not None
    for eigenvalue in report.curvature.top_eigenvalues:
        assert isinstance(eigenvalue, Interval)
        assert 0.0 < eigenvalue.upper - eigenvalue.lower < 1e-3 * eigenvalue.upper


def test_which_of_two_trainings_is_wider(real_data: Path, images: tuple[Path, Path]) -> None:
    options = WidthOptions(
        model=CIFAR, inputs=images[0], targets=images[1], against=real_data / MIXED, draws=4,
        layer_draws=0, eigenvalues=0, device="cpu",
    )  # fmt: skip
    report = width(real_data / ADVERSARIAL, options)
    assert report.against is not None
    random, worst = report.against.ratio
    assert isinstance(random.value, Estimate) and isinstance(worst.value, Exact)
    for ratio, a, b in zip((random, worst), report.width or (), report.against.width, strict=True):
        assert isinstance(ratio.value, Estimate | Exact)
        assert ratio.value.value == pytest.approx(value_of(b) / value_of(a))
    assert random.interval["lower_95"] < random.value.value < random.interval["upper_95"]
    told = random.interval["upper_95"] < 1.0
    assert ("is narrower" if told else "does not tell") in report.verdict.text
    assert 0.3 < random.value.value < 0.9 and math.isfinite(worst.value.value)
