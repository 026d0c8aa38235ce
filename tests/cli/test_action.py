"""The GitHub action: its steps run here, with an environment as a runner would give them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from netdistance import demo

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[2]


def action() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    return loaded


def run_step(folder: Path, **given: str) -> tuple[int, str, str]:
    """The audit step as the runner starts it: exit code, summary, outputs."""
    (step,) = (s for s in action()["runs"]["steps"] if s.get("id") == "audit")
    inputs = {name: str(entry.get("default", "")) for name, entry in action()["inputs"].items()}
    inputs |= {"base": str(demo.TRAINED), "compressed": str(demo.ROUNDED), "python": sys.executable}
    inputs |= {name.replace("_", "-"): value for name, value in given.items()}
    env = {key: inputs[_input(value)] for key, value in step["env"].items()}
    files = {name: str(folder / name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, **env, **files}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    texts = [Path(f).read_text() if Path(f).exists() else "" for f in files.values()]
    return done.returncode, texts[0], texts[1] + done.stderr.decode()


def _input(expression: str) -> str:
    return expression.removeprefix("${{ inputs.").removesuffix(" }}")


def test_no_input_is_text_of_a_script() -> None:
    for step in action()["runs"]["steps"]:
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"


def test_every_input_is_used_and_told() -> None:
    steps = action()["runs"]["steps"]
    used = {_input(value) for step in steps for value in step["env"].values() if "inputs." in value}
    assert used == set(action()["inputs"])
    assert all(entry["description"] for entry in action()["inputs"].values())


def test_the_summary_and_the_report_are_written(tmp_path: Path) -> None:
    code, summary, outputs = run_step(tmp_path)
    assert code == 0
    assert "**spiral-int4 is spiral within 4-bit rounding" in summary
    assert "exit-code=0" in outputs and "netdistance-audit.json" in outputs
    assert (tmp_path / "netdistance-audit.json").stat().st_size > 0


def test_a_gate_fails_the_step_after_the_summary(tmp_path: Path) -> None:
    code, summary, outputs = run_step(
        tmp_path, fail_if="distance>0.1\nbits_per_weight>64\n", fail_on="", args="--require-all"
    )
    assert code == 1
    assert "`distance>0.1`: **failed** by 2" in summary and "exit-code=1" in outputs


def test_nothing_in_an_input_is_run(tmp_path: Path) -> None:
    harmful = "$(touch planted) `touch planted`; touch planted"
    for given in ({"base": harmful}, {"fail_if": harmful}, {"args": harmful}, {"json": harmful}):
        run_step(tmp_path, **given)
    assert not (tmp_path / "planted").exists()


def test_without_a_report_the_summary_says_so_and_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "netdistance-audit.json").write_text("{}")  # of an earlier step
    code, summary, outputs = run_step(tmp_path, base="missing.safetensors")
    assert code == 3
    assert "ended with exit code 3" in summary and "netdistance-audit.json" not in outputs


@pytest.mark.parametrize(
    ("version", "extras", "asked"),
    [
        ("", "", "/the/action"),
        ("", "gguf,transformers", "/the/action[gguf,transformers]"),
        ("1.2.0", "", "netdistance==1.2.0"),
        ("1.2.0", "gguf", "netdistance[gguf]==1.2.0"),
    ],
)
def test_what_is_installed(tmp_path: Path, version: str, extras: str, asked: str) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    step = action()["runs"]["steps"][0]
    given = {
        "ND_PYTHON": str(python), "ND_VERSION": version, "ND_EXTRAS": extras,
        "ND_PATH": "/the/action",
    }  # fmt: skip
    assert set(given) == set(step["env"])
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step["run"]],
        env={**os.environ, **given}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["-m", "pip", "install", "--quiet", "--", asked]


def test_a_path_that_looks_like_an_option_is_a_path(tmp_path: Path) -> None:
    code, _, told = run_step(tmp_path, base="--help")
    assert code == 3
    assert "no such file" in told
