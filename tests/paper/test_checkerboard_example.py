"""The example of depth and noise, two shallow networks hardly trained."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "checkerboard.py"


def test_every_bound_stands_beside_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), "--out", str(tmp_path), "--quick"])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    header, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert len(rows) == 2 * 2 * 3
    for row in rows:
        depth, noise = int(row[0]), float(row[2])
        number = dict(zip(header[3:], map(float, row[3:]), strict=True))
        assert number["deep_relative_trust"] == pytest.approx(
            (1 + noise) ** (depth + 1) - 1, rel=1e-2
        )
        assert number["median"] <= number["largest"] <= number["neuron_certificate"]
        assert number["worst"] <= number["neuron_certificate"] <= number["norms_certificate"]
        # to first order; the median of twenty draws of one number is not their root mean square
        assert 0.4 < number["median"] / number["first_order_rms"] < 2.0
    assert (tmp_path / "depth.png").read_bytes().startswith(b"\x89PNG")
