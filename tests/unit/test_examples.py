"""The scripts of examples/ run to their end and say what they promise."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
# what the quick run of each must print, and leave beside report.json
SAYS = {
    "depth_sweep": "| hidden layers | fromage 0.01 | fromage 0.1 | adamw 0.001 |",
    "learning_rates": "lars: train accuracy over 0.8 with every seed at ",
    "mackey_glass": "LBFGS after each 20 iterations: 0.",
    "norm_stability": "lars x 1.0050122696231, (1 + eta^2)^(n/2) = 1.0050122696231",
}
LEAVES = {"depth_sweep": "depths.png", "norm_stability": "norms.png"}


def test_every_script_is_run_here() -> None:
    scripts = [path.stem for path in EXAMPLES.glob("*.py") if "--quick" in path.read_text()]
    assert set(SAYS) <= set(scripts)
    for name in SAYS:
        assert f"python examples/{name}.py --out" in (EXAMPLES / f"{name}.py").read_text()


@pytest.mark.parametrize("name", SAYS)
def test_it_runs_quickly(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name in ("depth_sweep", "learning_rates"):
        pytest.importorskip("sklearn")
    monkeypatch.setattr(sys, "argv", [name, "--quick", "--out", str(tmp_path / "out")])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    assert SAYS[name] in capsys.readouterr().out
    assert (tmp_path / "out" / "report.json").is_file()
    figure = LEAVES.get(name, "learning-rates.png")
    assert (tmp_path / "out" / "figures" / figure).is_file()
