"""Merges that are right, wrong by a known amount, absent, or beyond what a type can hold."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from netdistance.checkpoints import open_checkpoint
from netdistance.distances.landing import adapter_rows
from netdistance.quantities import Exact, Skipped
from netdistance.report.adapter_text import adapter_lines, adapter_verdict
from netdistance.report.audit_rows import AdapterRow
from tests.unit.checkpoints import adapters

ROWS, COLUMNS = 96, 64
TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def _weights(size: float) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
    """A base on bfloat16's grid, an adapter, and its change, `size` relative to the base."""
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(ROWS, COLUMNS, generator=generator).bfloat16().float()
    pair = adapters.pair("l", ROWS, COLUMNS)
    a, b = pair.values()
    change = 2.0 * (b.double() @ a.double())
    factor = size * float(base.norm() / change.norm())
    tensors = {name: t * (factor if "lora_B" in name else 1.0) for name, t in pair.items()}
    a, b = tensors.values()
    return base, tensors, 2.0 * (b @ a)


def _row(
    base: torch.Tensor, merged: torch.Tensor, tensors: dict[str, torch.Tensor], folder: Path
) -> AdapterRow:
    adapters.write(folder / "adapter", tensors)
    with open_checkpoint({"l.weight": base}) as a, open_checkpoint({"l.weight": merged}) as b:
        (row,) = adapter_rows(a, b, folder / "adapter")
    return row


def _value(quantity: object) -> float:
    assert isinstance(quantity, Exact)
    return quantity.value


@pytest.mark.parametrize("name", TYPES)
def test_a_merge_in_each_type_landed_within_its_rounding(name: str, tmp_path: Path) -> None:
    base, tensors, change = _weights(0.05)
    row = _row(base, (base + change).to(TYPES[name]), tensors, tmp_path)
    assert (row.layer, row.verdict, row.dtype) == ("l", "landed", name)
    assert _value(row.share) == pytest.approx(1.0, abs=0.01)
    assert _value(row.residual) == pytest.approx(_value(row.rounding), rel=0.05, abs=1e-6)


def test_a_merge_in_bf16_that_was_stored_wider_is_called_so(tmp_path: Path) -> None:
    base, tensors, change = _weights(0.05)
    row = _row(base, (base + change).bfloat16().float(), tensors, tmp_path)
    assert (row.verdict, row.dtype) == ("landed", "bf16")


def test_peft_rounds_the_change_to_the_type_of_the_adapter(tmp_path: Path) -> None:
    base, tensors, _ = _weights(0.05)
    half = {name: tensor.bfloat16() for name, tensor in tensors.items()}
    a, b = half.values()
    change = (b.float() @ a.float() * 2.0).bfloat16()
    for merged in (base + change.float(), base.bfloat16() + change):
        assert _row(base, merged, half, tmp_path).verdict == "landed"


def test_a_merged_folder_that_is_the_base_has_nothing_of_it(tmp_path: Path) -> None:
    """As in verl#7285."""
    base, tensors, _ = _weights(0.05)
    row = _row(base, base.bfloat16(), tensors, tmp_path)
    assert row.verdict == "not_at_all" and _value(row.share) == 0.0 and _value(row.residual) == 1.0
    assert "did not land" in adapter_verdict([row])


@pytest.mark.parametrize("part", [0.5, 2.0, -1.0])
def test_another_scale_landed_partially(part: float, tmp_path: Path) -> None:
    base, tensors, change = _weights(0.05)
    for dtype in TYPES.values():
        row = _row(base, (base + part * change).to(dtype), tensors, tmp_path)
        assert row.verdict == "partially"
        assert _value(row.share) == pytest.approx(part, abs=0.01)


def test_another_change_beside_it_is_no_rounding(tmp_path: Path) -> None:
    base, tensors, change = _weights(0.05)
    other = torch.randn(change.shape, generator=torch.Generator().manual_seed(1))
    other *= change.norm() / other.norm()
    row = _row(base, (base + change + other).bfloat16(), tensors, tmp_path)
    assert row.verdict == "partially" and _value(row.share) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("size", "verdict"), [(1e-3, "landed"), (1e-5, "not_at_all")])
def test_what_bf16_cannot_hold_is_said(size: float, verdict: str, tmp_path: Path) -> None:
    base, tensors, change = _weights(size)
    merged = (base + change).bfloat16()
    row = _row(base, merged, tensors, tmp_path)
    assert (row.verdict, row.dtype) == (verdict, "bf16") and _value(row.rounding) > 0.5
    assert "bf16 is too coarse for so small a change" in adapter_verdict([row])
    # half the change, as coarsely stored, is not the change
    if verdict == "landed":
        half = _row(base, (base + 0.5 * change).bfloat16(), tensors, tmp_path)
        assert half.verdict == "partially"


def test_what_cannot_be_compared_is_a_row_with_a_reason(tmp_path: Path) -> None:
    base, tensors, change = _weights(0.05)
    still = {name: tensor * 0.0 for name, tensor in tensors.items()}
    assert "does not change" in str(_row(base, base, still, tmp_path).share)
    row = _row(base, (base + change)[:5], tensors, tmp_path)
    assert row.verdict == "not_compared" and "shapes differ" in str(row.residual)
    holed = base + change
    holed[0, 0] = torch.nan
    assert "non-finite" in str(_row(base, holed, tensors, tmp_path).residual)
    text = "\n".join(adapter_lines([row]))
    assert "skipped: shapes differ" in text and "not compared" in text


def test_a_weight_stored_whole_is_looked_for_too(tmp_path: Path) -> None:
    base, _, change = _weights(0.05)
    saved = {"base_model.model.l.weight": base + change}
    assert _row(base, (base + change).bfloat16(), saved, tmp_path).verdict == "landed"
    assert _row(base, base, saved, tmp_path).verdict == "not_at_all"


def test_the_text_fits_80_columns_and_shows_the_worst_first() -> None:
    layer = "model.layers.{}.self_attn.q_proj.with.a.long.name"
    rows = [
        AdapterRow(layer.format(i), Exact(1.0), Exact(0.01), Exact(0.01), "bf16", "landed")
        for i in range(20)
    ]
    rows.append(AdapterRow("last", Exact(-0.01), Exact(1.0), Exact(0.02), "bf16", "not_at_all"))
    rows.append(AdapterRow("none", *[Skipped("no such")] * 3, "", "not_compared"))
    lines = adapter_lines(rows)
    assert max(map(len, lines)) <= 80
    assert adapter_verdict(rows).startswith(
        "Of 22 layers the adapter landed in 20, not compared in 1, not at all in 1"
    )
    assert lines[2].startswith("last") and "(--all: 22 layers)" in "\n".join(lines)
