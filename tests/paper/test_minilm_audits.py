"""A real audit: MiniLM as people store it, each verdict right, and the keep list worth its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import netdistance
from netdistance.checkpoints import open_checkpoint
from netdistance.quantities import Estimate, point
from netdistance.report.document import Report
from netdistance.studies.audit import AuditOptions, audit
from netdistance.studies.compare import CompareOptions, compare
from tests.paper import compressed_minilm as compressed
from tests.paper.test_minilm import minilm

pytestmark = pytest.mark.slow  # half a minute each: the libraries are slow to import

__all__ = ["minilm"]  # a fixture

SENTENCES = (
    "The cat sleeps on the warm windowsill.",
    "How do I reset my password?",
    "Stock prices fell sharply after the announcement, and recovered within a week.",
    "The committee will meet again on Thursday to vote on the amended budget.",
)
Write = Callable[[compressed.Weights, Path], Path]
# who writes it, what its rounding is called, and how far a weight may move: from and to
STORED: dict[str, tuple[Write, str, float, float]] = {
    "bitsandbytes nf4": (compressed.nf4, "nf4", 0.08, 0.11),
    "compressed-tensors int4": (compressed.compressed_int4, "int4", 0.10, 0.16),
    "GGUF Q8_0": (compressed.gguf_file("Q8_0"), "int8", 0.004, 0.02),
    "GGUF Q4_0": (compressed.gguf_file("Q4_0"), "int4", 0.08, 0.17),
}


@pytest.mark.parametrize("name", STORED)
def test_what_a_library_rounded_is_rounding(minilm: Path, tmp_path: Path, name: str) -> None:
    write, rounding_of, least, most = STORED[name]
    report = audit(minilm, write(compressed.read(minilm), tmp_path))
    moved = [row for row in report.audit or () if row.verdict not in ("lossless", "not_compared")]
    assert len(moved) >= 36
    for row in moved:
        assert (row.verdict, row.rounding_of) == ("rounding", rounding_of), row
        assert least < (point(row.distance) or 0.0) < most, row
    assert f"within {rounding_of.replace('int4', '4-bit').replace('int8', '8-bit')} rounding" in (
        report.verdict.text
    )


@pytest.mark.parametrize("scheme", ["int8", "int4-g128"])
def test_a_simulated_copy_is_what_was_simulated(minilm: Path, tmp_path: Path, scheme: str) -> None:
    written = tmp_path / "small.safetensors"
    options = netdistance.SimulateOptions(schemes=(scheme,), write=written)
    simulated = netdistance.simulate(minilm, options)
    report = audit(minilm, written)
    assert verdicts(report) <= {"rounding", "lossless"}
    told = {row.layer: point(row.distance) for row in simulated.audit or ()}
    for row in report.audit or ():
        if row.verdict == "rounding":
            assert point(row.distance) == pytest.approx(told[row.layer], rel=1e-9)


def test_an_adapter_merged_in_two_types_and_not_at_all(minilm: Path, tmp_path: Path) -> None:
    adapter, in_fp32, in_bf16 = compressed.lora(minilm.parent, tmp_path)
    options = AuditOptions(adapter=adapter)
    for merged, dtype in ((in_fp32, "fp32"), (in_bf16, "bf16")):
        report = audit(minilm, merged, options)
        rows = report.adapter or ()
        assert {(row.verdict, row.dtype) for row in rows} == {("landed", dtype)} and len(rows) == 12
        assert "more_than_rounding" not in verdicts(report) and "broken" not in verdicts(report)
        assert f"landed in all 12 layers, within rounding to {dtype}" in report.verdict.text
    report = audit(minilm, minilm, options)
    assert {row.verdict for row in report.adapter or ()} == {"not_at_all"}
    assert "did not land" in report.verdict.text


def test_the_keep_list_beats_lists_drawn_at_random(minilm: Path, tmp_path: Path) -> None:
    stored = compressed.compressed_int4(compressed.read(minilm), tmp_path)
    texts = tmp_path / "sentences.txt"
    texts.write_text("\n".join(SENTENCES), encoding="utf-8")
    run = {"model": str(minilm.parent), "inputs": texts, "output": "last_hidden_state"}
    report = audit(minilm, stored, AuditOptions(**run, keep=3, device="cpu"))
    kept = [row.layer for row in report.keep or ()]
    assert len(kept) == 3

    def deviation(layers: list[str]) -> float:
        """The outputs of the mixture, by a comparison that knows nothing of the audit."""
        with open_checkpoint(minilm) as base, open_checkpoint(stored) as small:
            mixed = {
                name: (base if name.removesuffix(".weight") in layers else small).read(name)
                for name in base.specs
            }
        found = compare(minilm, mixed, CompareOptions(**run, certify=0, device="cpu"))
        moved = {row.measure: row.value for row in found.deviation or ()}
        value = moved["relative_output_deviation"]
        assert isinstance(value, Estimate)
        return value.value

    best = deviation(kept)
    last = (report.keep or ())[-1].deviation
    assert best == pytest.approx(point(last), rel=1e-4)
    others = sorted({r.layer for r in report.audit or () if r.verdict == "rounding"} - set(kept))
    generator = np.random.default_rng(0)
    for _ in range(3):
        assert best < deviation(list(generator.choice(others, 3, replace=False)))


def verdicts(report: Report) -> set[str]:
    return {row.verdict for row in report.audit or ()} - {"not_compared"}
