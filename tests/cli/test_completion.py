"""Completion in a shell: the words that a user may type next, quickly and without torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from netdistance.cli import app
from tests.cli.invoke import environment
from tests.house.test_no_torch import run_and_list_modules, unwanted

COMMANDS = app.list_commands(click.Context(app))
SHELLS = ("bash", "zsh", "fish")


def completed(line: str, folder: Path) -> tuple[list[str], list[str]]:
    """What bash is told for the last word of a line, and which modules were loaded for it."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    asked = words | {"_NETDISTANCE_COMPLETE": "bash_complete"}
    before = f"import os; os.environ.update({asked!r})\n"
    code, modules, out = run_and_list_modules([], folder, before=before)
    assert code == 0
    return out.split(), modules


def test_commands_are_completed(tmp_path: Path) -> None:
    assert {"demo", "compare", "render"} <= set(COMMANDS)
    assert completed("netdistance ", tmp_path)[0] == [f"plain,{name}" for name in COMMANDS]
    assert completed("netdistance com", tmp_path)[0] == ["plain,compare"]
    assert completed("netdistance nothing", tmp_path)[0] == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("netdistance compare --fail", "plain,--fail-if"),
        ("netdistance compare --device cu", "plain,cuda"),
        ("netdistance perturb a.pth --scope w", "plain,weights"),
        ("netdistance compare a", "file,a"),
        ("netdistance render re", "file,re"),
        ("netdistance train --optim", "plain,--optimizer"),
        ("netdistance demo --js", "plain,--json"),
    ],
)
def test_options_choices_and_files_are_completed_without_torch(
    line: str, expected: str, tmp_path: Path
) -> None:
    found, modules = completed(line, tmp_path)
    assert found == [expected]
    assert unwanted(modules) == []
    assert "numpy" not in modules


def test_all_commands_are_looked_at_without_torch(tmp_path: Path) -> None:
    _, modules = completed("netdistance ", tmp_path)
    assert unwanted(modules) == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_is_given_a_script(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "netdistance"],
        env=environment(_NETDISTANCE_COMPLETE=f"{shell}_source"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"_NETDISTANCE_COMPLETE={shell}_complete" in done.stdout
    assert done.stderr == ""


def test_bash_completes_by_the_script(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    program = tmp_path / "netdistance"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m netdistance "$@"\n')
    program.chmod(0o755)
    # compopt works only while a key is pressed; complete -p shows that the function is registered
    script = f"""
PATH={json.dumps(str(tmp_path))}:$PATH
eval "$(_NETDISTANCE_COMPLETE=bash_source netdistance)"
complete -p netdistance
COMP_WORDS=(netdistance compare --strip); COMP_CWORD=2
_netdistance_completion netdistance
echo "${{COMPREPLY[@]}}"
"""
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, check=True)
    registered, found = done.stdout.splitlines()
    assert registered.endswith("-F _netdistance_completion netdistance")
    assert found == "--strip-prefix"
