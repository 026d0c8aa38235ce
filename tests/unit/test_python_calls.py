"""The commands as Python calls: all are there, light to import, and typed as they are."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path

import click
import numpy as np
import pytest

import netdistance
from netdistance import CompareOptions, compare, demo, read_report, render, sensitivity
from netdistance.cli import app
from netdistance.errors import InputError

PACKAGE = Path(netdistance.__file__).parent
NO_STUDY = ("demo", "render")  # one is compare on files of its own, the other takes a report
# how an option is called in Python where a plural or a place tells more
RENAMED = {"simulate": "schemes", "optimizer": "optimizers", "lr": "lrs", "depth": "depths"}
# what audit is asked without a compressed copy is asked of `simulate`
ALSO = {"audit": netdistance.SimulateOptions}
SHOWING = ("grouping",)  # how rows are shown, which the report does not depend on


def stub_problems(stub: str, homes: Mapping[str, str]) -> list[str]:
    """Names that the stub gives from another module than the package does, or only one has."""
    imports = [node for node in ast.parse(stub).body if isinstance(node, ast.ImportFrom)]
    typed = {alias.asname: node.module for node in imports for alias in node.names}
    names = sorted(typed.keys() | homes.keys(), key=str)
    return [str(name) for name in names if typed.get(name) != homes.get(str(name))]


def test_every_command_is_a_call() -> None:
    for name in app.list_commands(click.Context(app)):
        if name not in NO_STUDY:
            assert name in netdistance.__all__, f"netdistance.{name} is missing"
            assert inspect.getdoc(getattr(netdistance, name)), name
            assert is_dataclass(getattr(netdistance, f"{name.capitalize()}Options"))


def test_every_option_of_a_command_is_a_field_of_its_options() -> None:
    for name in app.list_commands(click.Context(app)):
        if name not in NO_STUDY:
            options = getattr(netdistance, f"{name.capitalize()}Options")
            also = fields(ALSO[name]) if name in ALSO else ()
            answers = {field.name for field in (*fields(options), *also)}
            assert unanswered(option_list(name), answers) == [], name


def option_list(name: str) -> list[click.Parameter]:
    """What a command can be given; `demo` takes nothing but what shows its report."""
    command = app.get_command(click.Context(app), name)
    assert command is not None, name
    return command.params


def unanswered(parameters: list[click.Parameter], answers: set[str]) -> list[str]:
    """Options of a command that Python has no field for, those apart that show the result."""
    shows = {*SHOWING, *(p.name for p in option_list("demo"))}
    asked = [p.name or "" for p in parameters if isinstance(p, click.Option)]
    wanted = (RENAMED.get(name, name) for name in asked if name not in shows)
    return [name for name in wanted if name not in answers]


def test_a_planted_option_without_a_field_is_found() -> None:
    planted = [click.Option([name]) for name in ("--fast-mode", "--lr", "--quiet")]
    assert unanswered(list(planted), {"lrs"}) == ["fast_mode"]


def test_the_stub_agrees_with_what_is_loaded() -> None:
    stub = (PACKAGE / "__init__.pyi").read_text()
    homes = netdistance._HOMES
    assert stub_problems(stub, homes) == []
    assert stub_problems(stub, {**homes, "more": "netdistance.more"}) == ["more"]
    assert stub_problems(stub, {**homes, "compare": "netdistance.cli.compare"}) == ["compare"]
    assert "compare" in stub_problems("", homes)


def test_every_name_can_be_loaded_and_is_offered() -> None:
    for name in netdistance.__all__:
        assert getattr(netdistance, name) is not None
        assert name in dir(netdistance)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = netdistance.nothing  # type: ignore[attr-defined]


def test_importing_the_package_loads_none_of_it() -> None:
    code = (
        "import sys, netdistance\ndir(netdistance)\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'click', 'rich'} & set(sys.modules)\n"
        "print(sorted(heavy), [n for n in sys.modules if n.startswith('netdistance.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] []\n"


def test_what_is_in_memory_is_compared_like_files() -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(1.0, 7.0).reshape(2, 3))
    moved = {"weight": layer.weight.detach().numpy() * np.float32(1.25)}
    for a in (layer, layer.state_dict(), {"weight": layer.weight.detach().numpy()}):
        report = compare(a, moved)
        assert report.tensors[0].metrics["relative_frobenius"] == netdistance.Exact(0.25)
    (norm,) = sensitivity(layer).sensitivity.layers  # type: ignore[union-attr]
    assert netdistance.point(norm.spectral_norm) == pytest.approx(
        np.linalg.norm(layer.weight.detach().numpy(), 2), rel=1e-3
    )


def test_a_saved_report_is_the_report(tmp_path: Path) -> None:
    options = CompareOptions(fail_if=("relative_frobenius>0.1",))
    report = compare(demo.TRAINED, demo.ROUNDED, options)
    saved = tmp_path / "report.json"
    saved.write_bytes(render(report, "json"))
    again = read_report(saved)
    for form in ("json", "text", "csv", "markdown"):
        assert render(again, form) == render(report, form), form


def test_a_report_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.json: cannot be read: No such file"):
        read_report(tmp_path / "gone.json")
    torn = tmp_path / "torn.json"
    torn.write_bytes(b'{"schema_version": 1')
    with pytest.raises(InputError, match=r"torn\.json: is no strict JSON"):
        read_report(str(torn))
