"""The panels of an audit, and what stands in the figure where no output was measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from netdistance import demo
from netdistance.quantities import Estimate, Exact, Skipped
from netdistance.report.audit_figure import audit_figure
from netdistance.report.audit_rows import AdapterRow
from netdistance.report.audit_text import audit_lines
from netdistance.report.frontier_figure import frontier_figure
from netdistance.studies.compare import compare
from netdistance.studies.simulate import SimulateOptions, simulate
from tests.unit.report.audit_cases import audited


def test_the_shares_of_an_adapter_have_a_panel() -> None:
    rows = (
        AdapterRow("one", Exact(1.0), Exact(0.03), Exact(0.03), "bf16", "landed"),
        AdapterRow("two", Exact(-0.5), Exact(1.5), Exact(0.03), "bf16", "partially"),
        AdapterRow("three", Skipped("B is zero"), Skipped("B is zero"), Skipped("B is zero"),
                   "bf16", "not_compared"),
    )  # fmt: skip
    figure = audit_figure(replace(audited("one", "two", measured=True), adapter=rows))
    first, layers, keep = figure.axes
    assert "adapter's change" in first.get_title(loc="left")
    assert "with the adapter added" in layers.get_title(loc="left")
    assert "kept" in keep.get_title(loc="left")
    assert [bar.get_height() for bar in first.patches] == [1.0, -0.5, 1.0]
    assert len(audit_figure(audited("one", "two", measured=True)).axes) == 2


def test_without_outputs_the_layers_of_each_scheme_are_drawn() -> None:
    report = simulate(demo.TRAINED, SimulateOptions(schemes=("int8", "nf4")))
    (axes,) = frontier_figure(report).axes
    assert [line.get_label() for line in axes.lines] == ["int8", "nf4"]
    assert all(len(line.get_xdata()) == 3 for line in axes.lines)  # type: ignore[arg-type]


def test_costs_below_many_layers_that_face_nothing_keep_their_column() -> None:
    some = audited("a", "b", "c", "d", measured=True)
    found = some.audit or ()
    rounding, alone = found[0], replace(found[3], measured=Skipped("not run"))
    rows = (*(replace(alone, layer=f"n{i}") for i in range(15)), rounding)
    lines = audit_lines(replace(some, audit=rows), everything=False)
    assert any(line.endswith("cost") for line in lines)
    assert any("(--all: 16 layers)" in line for line in lines)
    assert isinstance(rounding.measured, Estimate)


def test_an_adapter_is_not_said_to_be_rounding(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    base = {"l.weight": draw.standard_normal((64, 64)).astype(np.float32)}
    low = {f"base_model.model.l.lora_{x}.weight": s for x, s in (("A", (2, 64)), ("B", (64, 2)))}
    save_file(
        {n: 0.05 * draw.standard_normal(s).astype(np.float32) for n, s in low.items()},
        tmp_path / "adapter_model.safetensors",
    )
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["l"]}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    text = compare(base, tmp_path).verdict.text
    assert " moves 1 of 1 tensor, by " in text and "rounding" not in text
