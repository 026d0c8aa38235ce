"""Networks and images that no one here made: what is measured stays below what is certified."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netdistance.checkpoints import open_checkpoint
from netdistance.networks.inputs import load_inputs, load_targets
from netdistance.networks.load import load_network
from netdistance.probes.deviation import hits, run
from netdistance.quantities import Estimate, Exact, Interval, point
from netdistance.report.document import BoundRow, Report
from netdistance.studies.compare import CompareOptions, compare
from netdistance.studies.perturb import PerturbOptions, perturb
from netdistance.studies.sensitivity import SensitivityOptions, sensitivity

pytestmark = pytest.mark.real_data

MODEL = "tests.paper.convex_network:build"
MNIST, FASHION = "mnist_convex_adversarial.pth", "fashion_convex_adversarial.pth"
IMAGES, LABELS = "inputs/t10k-images-idx3-ubyte.gz", "inputs/t10k-labels-idx1-ubyte.gz"
COUNT = 500


@pytest.fixture
def few(real_data: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The first images and labels of the MNIST test set, read from its own files."""
    images = load_inputs(real_data / IMAGES).values
    labels = load_targets(real_data / LABELS, len(images))
    np.save(tmp_path / "images.npy", images[:COUNT].numpy())
    np.save(tmp_path / "labels.npy", labels[:COUNT].numpy())
    return tmp_path / "images.npy", tmp_path / "labels.npy"


def test_accuracy_on_the_idx_files_as_they_are(real_data: Path) -> None:
    inputs = load_inputs(real_data / IMAGES)
    assert inputs.note == "uint8 10000x28x28, scaled by 1/255 to float32 10000x1x28x28"
    labels = load_targets(real_data / LABELS, 10_000)
    network = load_network(MODEL, device="cpu")
    with open_checkpoint(real_data / "checkpoints" / MNIST) as checkpoint:
        state = network.state_from(checkpoint)
    outputs = run(network, state, inputs.values, batch_size=1000)
    assert float(hits(outputs, labels).double().mean()) > 0.97


def not_below(row: BoundRow) -> tuple[float, float]:
    """The certificate and the measurement beside it, in the order that is proved."""
    assert row.standing == "certified"
    assert isinstance(row.value, Interval), row.value
    assert isinstance(row.measured, Exact), row.measured
    assert row.measured.value <= row.value.upper
    return row.value.upper, row.measured.value


@pytest.mark.parametrize("name", [MNIST, FASHION])
def test_perturb(real_data: Path, few: tuple[Path, Path], name: str) -> None:
    images, labels = few
    options = PerturbOptions(
        model=MODEL, inputs=images, targets=labels, noise=("0.01", "0.2", "int8", "int4"),
        draws=2, certify=4, device="cpu",
    )  # fmt: skip
    report = perturb(real_data / "checkpoints" / name, options)
    assert report.sweep is not None and len(report.sweep) == 6
    for place in report.sweep:
        rows = {row.name: row for row in place.bounds}
        region = "box" if place.noise.startswith("int") else "ball"
        upper, measured = not_below(rows[f"{region}_certificate"])
        attack = point(place.attack)
        assert attack is not None and attack <= measured <= upper
        # random noise is far milder than the worst that was found
        mean = place.deviation.mean
        assert isinstance(mean, Estimate) and 0.0 < mean.value < attack
    if name == MNIST:
        accuracy = report.reference_accuracy
        assert isinstance(accuracy, Estimate) and accuracy.value > 0.97


def test_first_order_holds_at_one_percent(real_data: Path, few: tuple[Path, Path]) -> None:
    options = PerturbOptions(
        model=MODEL, inputs=few[0], noise=("0.01",), draws=8, certify=1, device="cpu",
        scope="weights",
    )  # fmt: skip
    report = perturb(real_data / "checkpoints" / MNIST, options)
    assert report.sweep is not None
    estimated = {row.name: row.value for row in report.sweep[0].bounds}["first_order_rms"]
    rms = report.sweep[0].deviation.rms
    assert isinstance(estimated, Estimate) and isinstance(rms, Estimate)
    assert estimated.value == pytest.approx(rms.value, rel=0.1)


def test_sensitivity(real_data: Path, few: tuple[Path, Path]) -> None:
    """Found <= certified <= the product of the norms at stride 1, each by a real margin."""
    options = SensitivityOptions(model=MODEL, inputs=few[0], certify=8, device="cpu")
    report = sensitivity(real_data / "checkpoints" / MNIST, options)
    assert report.sensitivity is not None and report.sensitivity.input_output is not None
    part, product = report.sensitivity.input_output, report.sensitivity.log10_product
    assert isinstance(part.found, Exact) and isinstance(part.jacobian, Interval)
    assert isinstance(part.certified, Interval) and isinstance(product, Interval)
    assert 1.0 < part.found.value < 0.1 * part.certified.upper
    assert part.certified.upper < 0.5 * 10.0**product.lower
    # the search starts along the direction that the steepest Jacobian stretches most
    assert part.found.value > 0.95 * part.jacobian.lower


def compared(real_data: Path, few: tuple[Path, Path]) -> Report:
    folder = real_data / "checkpoints"
    options = CompareOptions(
        model=MODEL, inputs=few[0], targets=few[1], certify=8, device="cpu"
    )  # fmt: skip
    return compare(folder / MNIST, folder / FASHION, options)


def test_compare(real_data: Path, few: tuple[Path, Path]) -> None:
    report = compared(real_data, few)
    assert report.path is not None
    uppers = [not_below(place.bounds[1])[0] for place in report.path]
    assert uppers == sorted(uppers)
    assert report.deviation is not None
    accuracy = {row.measure: point(row.value) for row in report.deviation}
    assert (accuracy["accuracy_a"] or 0.0) > 0.97 > 0.5 > (accuracy["accuracy_b"] or 1.0)
