"""Tensors whose values are odd: what compare says of each, in full."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.invoke import invoke
from tests.formats.written import raw_tensors, safetensors

ONES = np.ones((2, 2), np.float32)
SIGNALLING = np.array([0x7F800001, 0, 0, 0], np.uint32).view(np.float32).reshape(2, 2)


@dataclass(frozen=True, slots=True)
class Pair:
    """A tensor on both sides, and metrics: a number, or words of the reason why there is none."""

    name: str
    a: bytes
    b: bytes
    expected: dict[str, float | str]
    account: dict[str, object] = field(default_factory=dict)


def pair(
    name: str,
    a: np.ndarray,
    b: np.ndarray,
    account: dict[str, object] | None = None,
    /,
    **expected: Any,
) -> Pair:
    one = {"one": np.ones(1)}
    sides = [safetensors({"x": side, **one}) for side in (a, b)]
    return Pair(name, sides[0], sides[1], expected, account or {})


def bits(name: str, dtype: str, a: bytes, b: bytes, **expected: Any) -> Pair:
    size = [8 * len(a) // (4 if dtype == "F4" else 8)]
    return Pair(name, raw_tensors(x=(dtype, size, a)), raw_tensors(x=(dtype, size, b)), expected)


def full(value: float, dtype: type[np.generic]) -> np.ndarray:
    return np.full((300, 400), value, dtype)


SAME = {"relative_frobenius": 0.0, "max_abs": 0.0, "sqnr_db": "identical", "changed_fraction": 0.0}
PAIRS = (
    pair("identical", ONES, ONES, {"identical": 2}, **SAME),
    pair("minus zero", 0 * ONES, -0.0 * ONES, {"identical": 2}, **SAME),
    pair("empty", np.ones((0, 5)), np.ones((0, 5)), {"identical": 2}, **SAME, angle_rad=0.0),
    pair("scalar", np.array(2.0), np.array(3.0), relative_frobenius=0.5, trust_share=None),
    pair("both zero", 0 * ONES, 0 * ONES, {"identical": 2}, **SAME),
    pair("zero reference", 0 * ONES, ONES, relative_frobenius="reference is zero", max_abs=1.0,
         sqnr_db="reference is zero", angle_rad="zero tensor", trust_share=None),
    pair("all became zero", ONES, 0 * ONES, relative_frobenius=1.0, sqnr_db=0.0),
    pair("opposite", ONES, -ONES, relative_frobenius=2.0, angle_rad=np.pi),
    pair("NaN in b", ONES, np.where(np.eye(2), np.nan, ONES).astype("f4"),
         {"non_finite": [{"name": "x", "count_a": 0, "count_b": 2}]},
         relative_frobenius="0 in a, 2 in b", max_abs="non-finite", changed_fraction=0.5),
    pair("infinity in a", np.full((2, 2), -np.inf, "f4"), ONES,
         {"non_finite": [{"name": "x", "count_a": 4, "count_b": 0}]}, max_abs="4 in a, 0 in b"),
    pair("NaN on both sides", SIGNALLING, SIGNALLING, {"identical": 1},
         relative_frobenius="1 in a, 1 in b", changed_fraction=0.25),
    pair("half floats whose norm overflows", full(60000, np.float16), full(30000, np.float16),
         relative_frobenius=0.5, max_abs=30000.0),
    pair("float32 of 1e20", full(2.0**67, np.float32), full(2.0**66, np.float32),
         relative_frobenius=0.5),
    pair("float32 of 1e-30", full(2.0**-100, np.float32), full(2.0**-101, np.float32),
         relative_frobenius=0.5),
    pair("subnormal float32", full(2.0**-148, np.float32), full(2.0**-149, np.float32),
         relative_frobenius=0.5, max_abs=2.0**-149),
    pair("float64 of 1e200", full(2.0**700, np.float64), full(2.0**699, np.float64),
         relative_frobenius=0.5, max_abs=2.0**699),
    pair("float64 of 1e-300", full(2.0**-1000, np.float64), full(2.0**-1001, np.float64),
         relative_frobenius=0.5),
    pair("smallest float64", full(2.0**-1073, np.float64), full(2.0**-1074, np.float64),
         relative_frobenius=0.5),
    pair("largest float64", full(1.7e308, np.float64), full(0.85e308, np.float64),
         relative_frobenius=0.5, max_abs=0.85e308),
    pair("far apart", full(2.0**-700, np.float64), full(2.0**700, np.float64), max_abs=2.0**700,
         relative_frobenius="exceeds float64", angle_rad="float64",
         sqnr_db=-1400 * 20 * np.log10(2)),
    pair("far apart the other way", np.array([2.0**700, 0]), np.array([2.0**700, 2.0**-700]),
         relative_frobenius=0.0, changed_fraction=0.5, sqnr_db=1400 * 20 * np.log10(2)),
    pair("squares whose sum overflows", np.full(1 << 20, 1.7e151), np.full(1 << 20, 3.4e151),
         relative_frobenius=1.0, sqnr_db=0.0),
    pair("difference beyond float64", full(1.7e308, np.float64), full(-1.7e308, np.float64),
         relative_frobenius=2.0, max_abs="exceeds float64", changed_fraction=1.0),
    pair("integers that differ", np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5]),
         relative_frobenius="1 of 4 integers differ", changed_fraction=0.25),
    pair("integers that agree", np.array([2**63 - 1]), np.array([2**63 - 1]), **SAME),
    pair("64-bit integers one apart", np.array([2**63 - 1]), np.array([2**63 - 2]),
         max_abs="1 of 1 integers differ", changed_fraction=1.0),
    pair("unsigned 16-bit", np.array([65535], "u2"), np.array([0], "u2"), changed_fraction=1.0),
    pair("booleans", np.array([True, False]), np.array([True, True]), changed_fraction=0.5,
         relative_frobenius="1 of 2 integers differ"),
    bits("odd bytes of booleans", "BOOL", b"\x01\x02\xff\x00", b"\x01\x01\x01\x00", **SAME),
    pair("complex", np.array([3 + 4j, 0], "c8"), np.array([3 + 4j, 5j], "c8"),
         relative_frobenius=1.0, max_abs=5.0, changed_fraction=0.5),
    pair("modulus of a complex difference", np.array([1, 2], "c16"), np.array([4 + 4j, 2], "c16"),
         max_abs=5.0, relative_frobenius=np.sqrt(5)),
    pair("float32 beside float64", ONES, np.full((2, 2), 1.5), relative_frobenius=0.5),
    bits("8-bit floats", "F8_E4M3", b"\x38\x7e", b"\x38\x7e", **SAME),
    bits("8-bit floats with a NaN", "F8_E4M3", b"\x38\x7f", b"\x38\x7e", max_abs="1 in a, 0 in b"),
    bits("4-bit floats", "F4", b"\x22", b"\x24", relative_frobenius=np.sqrt(0.5), max_abs=1.0),
)  # fmt: skip


def mismatches(metrics: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Metrics that are not what the case says, by name."""
    return [name for name, value in expected.items() if not _matches(metrics.get(name), value)]


def _matches(found: dict[str, Any] | None, expected: float | str | None) -> bool:
    if found is None or expected is None:
        return found is expected
    if isinstance(expected, str):
        return found["kind"] == "skipped" and expected in found["reason"]
    return found["kind"] == "exact" and bool(
        np.isclose(found["value"], expected, rtol=1e-12, atol=0)
    )


@pytest.mark.parametrize("case", PAIRS, ids=lambda case: case.name)
def test_odd_values(tmp_path: Path, case: Pair) -> None:
    (tmp_path / "a").write_bytes(case.a)
    (tmp_path / "b").write_bytes(case.b)
    outcome = invoke("compare", tmp_path / "a", tmp_path / "b", "--json", "-")
    assert (outcome.code, outcome.err) == (0, "")
    document = json.loads(outcome.out)
    row = next(row for row in document["tensors"] if row["name"] == "x")
    assert mismatches(row["metrics"], case.expected) == [], row["metrics"]
    assert {key: document["pairing"][key] for key in case.account} == case.account
    assert invoke("compare", tmp_path / "a", tmp_path / "b").code == 0


def test_planted_faults_are_found() -> None:
    metrics = {
        "a": {"kind": "exact", "value": 0.5},
        "b": {"kind": "skipped", "reason": "the reference is zero"},
    }
    assert mismatches(metrics, {"a": 0.5, "b": "zero", "c": None}) == []
    assert mismatches(metrics, {"a": 0.5 * (1 + 1e-11), "b": 0.0}) == ["a", "b"]
    assert mismatches(metrics, {"a": "zero", "b": "NaN"}) == ["a", "b"]
    assert mismatches(metrics, {"a": None, "c": 0.5}) == ["a", "c"]
