"""What rounding does to the outputs of MiniLM, run by transformers on sentences."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdistance.quantities import Estimate, Skipped, point
from netdistance.studies.compare import CompareOptions, compare
from tests.paper.test_minilm import ROUNDED, copy, minilm, write_copy

pytest.importorskip("transformers")
pytestmark = pytest.mark.slow  # about a minute for each copy

__all__ = ["copy", "minilm"]  # fixtures

SENTENCES = (
    "The cat sleeps on the warm windowsill.",
    "How do I reset my password?",
    "Stock prices fell sharply after the announcement, and recovered within a week.",
    "No.",
)
# how far the outputs may move, from and to: of 64 sentences 0.4%, 3.2% and 36%
MOVES = {"bf16": (0.001, 0.01), "int8": (0.01, 0.1), "int4": (0.15, 0.7)}


@pytest.mark.parametrize("name", ROUNDED)
def test_a_rounded_copy(minilm: Path, copy: Path, tmp_path: Path, name: str) -> None:
    write_copy(minilm, copy, lambda _, weight: ROUNDED[name](weight))
    texts = tmp_path / "sentences.txt"
    texts.write_text("\n".join(SENTENCES), encoding="utf-8")
    options = CompareOptions(
        model=str(minilm.parent), inputs=texts, output="last_hidden_state", certify=2, device="cpu"
    )
    report = compare(minilm, copy, options)
    moved = {row.measure: row.value for row in report.deviation or ()}["relative_output_deviation"]
    least, most = MOVES[name]
    assert isinstance(moved, Estimate) and least < moved.value < most
    assert str(report.provenance["padding"]).endswith("outputs there count in nothing.")
    for row in report.bounds:
        if row.standing == "certified":
            assert isinstance(row.value, Skipped)
            assert "takes several inputs: input_ids" in row.value.reason
    assert report.layers is not None and len(report.layers) > 40
    assert report.attribution is not None
    parts = [point(r.value) for r in report.attribution if r.scheme == "telescoping"]
    whole = sum(part for part in parts if part is not None)
    assert whole == pytest.approx(moved.value, rel=0.05)
