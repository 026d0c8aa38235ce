"""Imports only go down the floors, or sideways without a cycle.

Every checker takes `{module name: source}`, so that planted faults show that it can fail.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

PACKAGE = "netdistance"
ROOT = Path(__file__).parents[2] / PACKAGE

ROOMS_BY_FLOOR = {
    0: ("quantities", "errors", "progress", "demo"),
    1: ("checkpoints", "linalg", "grids", "networks", "optim", "execution", "report"),
    2: ("pairing", "distances", "compression"),
    3: ("bounds", "probes", "training"),
    4: ("studies",),
    5: ("cli", "testing", "__main__"),
}
# the package's own __init__ is the room "" of floor 0
FLOORS = {"": 0} | {room: floor for floor, rooms in ROOMS_BY_FLOOR.items() for room in rooms}

Sources = dict[str, str]


@dataclass(frozen=True)
class Import:
    """One import of a module of the package, as written in another one."""

    importer: str
    target: str
    line: int
    lazy: bool  # inside a function

    @property
    def exempt(self) -> bool:
        """The package's __init__ may reach upwards for its lazy names, from a function only."""
        return self.importer == PACKAGE and self.lazy

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.target}"


def package_sources(root: Path = ROOT) -> Sources:
    """Every module under the package; a package's __init__ carries the package's own name."""
    sources = {}
    for path in sorted(root.rglob("*.py")):
        parts = (PACKAGE, *path.relative_to(root).with_suffix("").parts)
        # a trailing dot marks a package, so that relative imports resolve against itself
        name = ".".join(parts).removesuffix("__init__")
        sources[name] = path.read_text(encoding="utf-8")
    return sources


def room_of(module: str) -> str:
    """The folder or file directly under the package that a module lives in."""
    return module.split(".")[1] if "." in module else ""


def imports(sources: Sources) -> list[Import]:
    """Every import of the package's own modules: at the top, in functions, under TYPE_CHECKING."""
    modules = {name.removesuffix(".") for name in sources}
    return [
        Import(name.removesuffix("."), target, node.lineno, lazy)
        for name, source in sources.items()
        for node, lazy in _walk(ast.parse(source), lazy=False)
        for target in _targets(node, name, modules)
    ]


def _walk(node: ast.AST, *, lazy: bool) -> Iterator[tuple[ast.stmt | ast.expr, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom | ast.Call):
            yield child, lazy
        function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _walk(child, lazy=lazy or function)


def _targets(node: ast.AST, importer: str, modules: set[str]) -> list[str]:
    match node:
        case ast.Import(names=names):
            found = [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            base = _resolve(importer, module or "", level)
            found = [_member(base, alias.name, modules) for alias in names]
        case ast.Call(
            func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            found = [name]
        case _:
            found = []
    return [name for name in found if name.split(".")[0] == PACKAGE]


def _resolve(importer: str, module: str, level: int) -> str:
    if level == 0:
        return module
    base = importer.split(".")[:-level]
    return ".".join([*base, *([module] if module else [])])


def _member(base: str, name: str, modules: set[str]) -> str:
    """`from base import name` means the submodule where there is one, else `base` itself."""
    if f"{base}.{name}" in modules:
        return f"{base}.{name}"
    if base == PACKAGE and not name.startswith("__"):
        return f"{PACKAGE}.{name}"  # a lazy name of the package: no module, so no floor
    return base


def missing_rooms(sources: Sources) -> list[str]:
    """Modules, and targets of imports, whose room has no floor."""
    named = {name.removesuffix("."): f"{name} exists" for name in sources}
    named |= {item.target: str(item) for item in imports(sources)}
    return [
        f"room {room_of(module)!r} has no floor ({why}): add it to ROOMS_BY_FLOOR, or import the "
        "name from its own module and not from the package"
        for module, why in named.items()
        if room_of(module) not in FLOORS
    ]


def upward_imports(sources: Sources) -> list[str]:
    """Imports of a room on a higher floor than the importer's own."""
    problems = []
    for item in imports(sources):
        here, there = (FLOORS.get(room_of(name)) for name in (item.importer, item.target))
        if here is not None and there is not None and here < there and not item.exempt:
            problems.append(f"{item}: floor {here} may not import floor {there}")
    return problems


def cycle(sources: Sources) -> list[str]:
    """The modules of one import circle, in importing order, or nothing."""
    graph: dict[str, set[str]] = {}
    for item in imports(sources):
        if not item.exempt:
            graph.setdefault(item.importer, set()).add(item.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def test_every_room_has_a_floor() -> None:
    problems = missing_rooms(package_sources())
    assert not problems, "\n".join(problems)


def test_imports_only_go_down_or_sideways() -> None:
    problems = upward_imports(package_sources())
    assert not problems, "\n".join(problems)


def test_no_module_imports_itself_through_others() -> None:
    circle = cycle(package_sources())
    assert not circle, "import circle: " + " -> ".join(circle)


def test_the_reader_sees_the_package() -> None:
    sources = package_sources()
    assert {"netdistance.", "netdistance.quantities", "netdistance.report."} <= set(sources)
    seen = {(item.importer, item.target) for item in imports(sources)}
    assert ("netdistance.report.document", "netdistance.quantities") in seen


PLANTED_UPWARD = {
    "at the top": "from netdistance.studies.compare import compare",
    "plain import": "import netdistance.studies.compare",
    "submodule by name": "from netdistance.studies import compare",
    "relative": "from ..studies.compare import compare",
    "relative, package by name": "from .. import studies",
    "in a function": "def f():\n    from netdistance.studies.compare import compare",
    "in a method": "class A:\n    def f(self):\n        import netdistance.studies.compare",
    "for types only": "if TYPE_CHECKING:\n    from netdistance.studies import compare",
    "by importlib": "m = importlib.import_module('netdistance.studies.compare')",
}


@pytest.mark.parametrize("source", PLANTED_UPWARD.values(), ids=PLANTED_UPWARD.keys())
def test_planted_upward_import_is_found(source: str) -> None:
    sources = {
        "netdistance.": "",
        "netdistance.linalg.": "",
        "netdistance.linalg.sums": source,
        "netdistance.studies.": "",
        "netdistance.studies.compare": "",
    }
    (problem,) = upward_imports(sources)
    assert problem.startswith("netdistance.linalg.sums:")
    assert problem.endswith("floor 1 may not import floor 4")


def test_relative_import_in_an_init_resolves_against_its_own_package() -> None:
    sources = {
        "netdistance.": "",
        "netdistance.linalg.": "from .sums import PairSums\nfrom . import sums\n",
        "netdistance.linalg.sums": "from ..errors import InputError\n",
        "netdistance.errors": "",
    }
    assert [(item.importer, item.target) for item in imports(sources)] == [
        ("netdistance.linalg", "netdistance.linalg.sums"),
        ("netdistance.linalg", "netdistance.linalg.sums"),
        ("netdistance.linalg.sums", "netdistance.errors"),
    ]
    assert not upward_imports(sources)
    assert not cycle(sources)


def test_the_package_init_may_reach_up_from_a_function_only() -> None:
    lazy = "def __getattr__(name):\n    from netdistance.studies.compare import compare\n"
    eager = "from netdistance.studies.compare import compare\n"
    others = {"netdistance.studies.": "", "netdistance.studies.compare": "import netdistance"}
    assert not upward_imports({"netdistance.": lazy, **others})
    assert not cycle({"netdistance.": lazy, **others})
    assert upward_imports({"netdistance.": eager, **others})
    assert cycle({"netdistance.": eager, **others})


def test_a_lazy_name_of_the_package_is_not_a_way_up() -> None:
    sources = {"netdistance.": "", "netdistance.probes.noise": "from netdistance import compare"}
    (problem,) = missing_rooms(sources)
    assert "netdistance.probes.noise:1 imports netdistance.compare" in problem
    version = {
        "netdistance.": "",
        "netdistance.probes.noise": "from netdistance import __version__",
    }
    assert not missing_rooms(version)


def test_planted_cycle_is_found_with_its_path() -> None:
    sources = {
        "netdistance.linalg.sums": "from netdistance.report.text import render",
        "netdistance.report.text": "def f():\n    from netdistance.optim import fromage",
        "netdistance.optim.": "",
        "netdistance.optim.fromage": "from ..linalg import sums",
    }
    circle = cycle(sources)
    assert circle[0] == circle[-1]
    steps = set(pairwise(circle))
    assert ("netdistance.linalg.sums", "netdistance.report.text") in steps
    assert len(circle) == 4
    sources["netdistance.optim.fromage"] = "import torch"
    assert not cycle(sources)
    assert not upward_imports(sources)


def test_planted_unknown_room_is_found() -> None:
    (problem,) = missing_rooms({"netdistance.": "", "netdistance.attic.box": ""})
    assert "'attic'" in problem
    (problem,) = missing_rooms({"netdistance.linalg.sums": "import netdistance.attic"})
    assert "netdistance.linalg.sums:1" in problem
