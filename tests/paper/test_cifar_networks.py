"""Two trainings of one network on CIFAR-10, with the 200 test images that come with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdistance.quantities import Estimate, Exact, Interval, point
from netdistance.studies.compare import CompareOptions, compare
from netdistance.studies.perturb import PerturbOptions, perturb

pytestmark = pytest.mark.real_data

MODEL = "tests.paper.cifar_network:build"
ADVERSARIAL, MIXED = "checkpoints/cifar_cnn_a_adv.model", "checkpoints/cifar_cnn_a_mix.model"


def test_the_pair(real_data: Path, images: tuple[Path, Path]) -> None:
    options = CompareOptions(
        model=MODEL, inputs=images[0], targets=images[1], certify=4, device="cpu"
    )
    report = compare(real_data / ADVERSARIAL, real_data / MIXED, options)
    assert report.layers is not None and report.attribution is not None
    assert [row.name for row in report.layers] == ["0", "2", "5", "7"]
    measures = {row.measure: row.value for row in report.deviation or ()}
    assert isinstance(measures["relative_output_deviation"], Estimate)
    for side in ("a", "b"):
        accuracy = measures[f"accuracy_{side}"]
        assert isinstance(accuracy, Estimate) and 0.6 < accuracy.value < 0.9
    whole = measures["relative_output_deviation"].value
    parts = [point(r.value) for r in report.attribution if r.scheme == "telescoping"]
    assert sum(part for part in parts if part is not None) == pytest.approx(whole, rel=1e-3)
    certified = [row for row in report.bounds if row.standing == "certified"]
    assert len(certified) == 3
    for row in certified:
        assert isinstance(row.value, Interval) and isinstance(row.measured, Exact)
        assert row.measured.value <= row.value.upper


def test_noise(real_data: Path, images: tuple[Path, Path]) -> None:
    options = PerturbOptions(
        model=MODEL, inputs=images[0], targets=images[1], noise=("0.001", "0.1", "int8"), draws=4,
        certify=2, scope="weights", device="cpu",
    )  # fmt: skip
    report = perturb(real_data / ADVERSARIAL, options)
    assert report.sweep is not None and len(report.sweep) == 3
    for place in report.sweep:
        rows = {row.name: row.value for row in place.bounds}
        upper, attack = rows["neuron_certificate"], point(place.attack)
        mean, rms = place.deviation.mean, place.deviation.rms
        assert isinstance(upper, Interval) and isinstance(mean, Estimate)
        assert attack is not None and mean.value < attack <= upper.upper
        if place.noise != "0.1":
            estimated = point(rows["first_order_rms"])
            # four draws and sixteen probes: each has an error of a tenth or so
            assert estimated == pytest.approx(point(rms), rel=0.5)
