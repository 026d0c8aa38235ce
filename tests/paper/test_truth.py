"""Three real pairs agree with distances and trust that were computed apart from this package.

The truth files hold float64 numbers by `math.fsum`: relative Frobenius distances of each tensor,
and deep relative trust over the weights.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from netdistance.quantities import Exact, Skipped
from netdistance.report.document import Report
from netdistance.studies.compare import compare

PAIRS = ("akamaster_resnet20_vs_32", "cifar_cnn_a_adv_vs_mix", "mnist_vs_fashion")
TOLERANCE = 1e-12


def disagreements(truth: dict[str, Any], report: Report) -> list[str]:
    """Every number of the truth that the report does not confirm."""
    rows = {row.name: row.metrics["relative_frobenius"] for row in report.tensors}
    problems = [
        f"{tensor['name']}: {rows.get(tensor['name'])} against {tensor['rel_fro']}"
        for tensor in truth["tensors"]
        if not _agrees(tensor, rows.get(tensor["name"]))
    ]
    summary = truth["summary"]
    (trust,) = (row for row in report.bounds if row.name == "deep_relative_trust")
    for what, found, expected in (
        ("trust", trust.value, summary["deep_relative_trust_weights"]),
        ("log1p_sum", trust.log1p_sum, summary["log1p_sum_weights"]),
    ):
        if not _close(found, expected):
            problems.append(f"{what}: {found} against {expected}")
    return problems


def _agrees(tensor: dict[str, Any], found: object) -> bool:
    if tensor["status"] == "ok":
        return _close(found, tensor["rel_fro"])
    if tensor["rel_fro"] is None:  # a zero reference, or NaN
        return isinstance(found, Skipped)
    return _close(found, tensor["rel_fro"])  # both sides zero


def _close(found: object, expected: float | None) -> bool:
    if expected is None:
        return isinstance(found, Skipped)
    return isinstance(found, Exact) and math.isclose(found.value, expected, rel_tol=TOLERANCE)


def truth_of(folder: Path, name: str) -> tuple[dict[str, Any], Report]:
    truth: dict[str, Any] = json.loads((folder / "truth" / f"{name}.json").read_text("utf-8"))
    return truth, compare(folder / truth["a"], folder / truth["b"])


@pytest.mark.real_data
@pytest.mark.parametrize("name", PAIRS)
def test_the_truth_is_confirmed(real_data: Path, name: str) -> None:
    truth, report = truth_of(real_data, name)
    assert disagreements(truth, report) == []
    assert report.pairing is not None
    summary = truth["summary"]
    assert len(report.tensors) == summary["n_shared"] - summary["n_shape_mismatch"]
    assert set(report.pairing.only_a) == set(summary["only_a"])
    assert set(report.pairing.only_b) == set(summary["only_b"])


@pytest.mark.real_data
def test_every_truth_file_is_used(real_data: Path) -> None:
    assert sorted(path.stem for path in (real_data / "truth").glob("*.json")) == sorted(PAIRS)


@pytest.mark.real_data
def test_planted_faults_are_found(real_data: Path) -> None:
    truth, report = truth_of(real_data, "mnist_vs_fashion")
    truth["tensors"][3]["rel_fro"] *= 1 + 1e-11
    truth["summary"]["deep_relative_trust_weights"] *= 1 + 1e-11
    problems = disagreements(truth, report)
    assert [text.split(":")[0] for text in problems] == [truth["tensors"][3]["name"], "trust"]
    truth["tensors"][0] |= {"status": "zero_reference", "rel_fro": None}
    assert len(disagreements(truth, report)) == 3
