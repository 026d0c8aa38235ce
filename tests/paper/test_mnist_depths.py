"""The example of gradient breakdown on the user's IDX files, narrow and hardly trained."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

import netdistance

pytestmark = pytest.mark.real_data

EXAMPLE = Path(__file__).parents[2] / "examples" / "gradient_breakdown.py"


def test_the_example_leaves_weights_figures_and_reports(
    real_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [
        str(EXAMPLE),
        str(real_data / "inputs"),
        str(tmp_path),
        "--width",
        "16",
        "--steps",
        "10",
    ]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert capsys.readouterr().out.count("Down the gradient") == 2
    for layers, modelled in ((2, 2.0**0.5 - 1.0), (16, 2.0 ** (1 / 16) - 1.0)):
        name = tmp_path / f"layers-{layers}"
        assert name.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
        assert (
            len(netdistance.open_checkpoint(name.with_suffix(".safetensors")).specs) == 2 * layers
        )
        report = netdistance.read_report(name.with_suffix(".json"))
        assert report.gradients is not None and report.descent is not None
        assert len(report.gradients[0].tensors) == layers
        (row,) = report.descent[0].bounds
        assert netdistance.point(row.value) == pytest.approx(modelled, rel=1e-6)
