"""What does not need torch never imports it, and matplotlib waits for a figure.

`import torch` costs more time and memory than comparing two files does, so one import in the wrong
place undoes the streaming comparison.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

PACKAGE = "netdistance"
ROOT = Path(__file__).parents[2] / PACKAGE

# module prefixes; a trailing dot is a whole room, its __init__ included
MAY_IMPORT_TORCH = (
    "netdistance.demo.network",  # a model as a user writes one; nothing imports it but --model
    "netdistance.networks.",
    "netdistance.optim.",
    "netdistance.probes.",
    "netdistance.training.",
    "netdistance.bounds.",
    "netdistance.checkpoints.torch_pickle",
    "netdistance.checkpoints.state_dict",
)
NEVER_TORCH = ("netdistance.bounds.trust",)
# a command or study may lead to torch through a room that has it; what runs decides (below)
JUDGED_BY_RUNNING = ("netdistance.cli.", "netdistance.studies.")

Sources = dict[str, str]


def package_sources(root: Path = ROOT) -> Sources:
    """Every module; a package's __init__ carries the package's name and a trailing dot."""
    sources = {}
    for path in sorted(root.rglob("*.py")):
        parts = (PACKAGE, *path.relative_to(root).with_suffix("").parts)
        sources[".".join(parts).removesuffix("__init__")] = path.read_text(encoding="utf-8")
    return sources


@cache  # a module is on the way of many others
def imported_on_load(source: str) -> tuple[str, ...]:
    """Dotted names that importing a module loads: not its functions', not TYPE_CHECKING's.

    `from a import b` gives both `a` and `a.b`, which may be a module. Relative imports are left
    out: the package writes none, and a test says so.
    """
    names: list[str] = []
    pending: list[ast.AST] = [ast.parse(source)]
    while pending:
        match pending.pop():
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                continue
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=otherwise):
                pending.extend(otherwise)
            case ast.Import(names=aliases):
                names += [alias.name for alias in aliases]
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                names += [module, *(f"{module}.{alias.name}" for alias in aliases)]
            case other:
                pending.extend(ast.iter_child_nodes(other))
    return tuple(names)


def relative_importers(sources: Sources) -> list[str]:
    """Modules with `from .` or `from ..`, at any depth."""
    return [
        module
        for module, source in sources.items()
        if any(isinstance(n, ast.ImportFrom) and n.level for n in ast.walk(ast.parse(source)))
    ]


def may_import_torch(module: str) -> bool:
    """Whether the table above lets a module import torch when it is loaded."""
    return module.startswith(MAY_IMPORT_TORCH) and module not in NEVER_TORCH


def _is_torch(name: str) -> bool:
    return name.split(".")[0] == "torch"


def direct_importers(sources: Sources) -> list[str]:
    """Modules that import torch when they are loaded, without the right to."""
    return [
        module
        for module, source in sources.items()
        if not may_import_torch(module) and any(map(_is_torch, imported_on_load(source)))
    ]


def leading_to_torch(sources: Sources) -> list[str]:
    """Torch-free modules whose imports, or parents' __init__, load torch; with the way there."""
    problems = []
    for module in sources:
        if not may_import_torch(module) and not module.startswith(JUDGED_BY_RUNNING):
            way = _way_to_torch(module, sources)
            if way:
                problems.append(" -> ".join(way))
    return problems


def _way_to_torch(start: str, sources: Sources) -> list[str]:
    ways = {start: [start]}
    pending = [start]
    while pending:
        module = pending.pop()
        loads = _loads(module, sources)
        if "torch" in loads:
            return [*ways[module], "torch"]
        for found in loads - ways.keys():
            ways[found] = [*ways[module], found]
            pending.append(found)
    return []


def _loads(module: str, sources: Sources) -> set[str]:
    """Modules of `sources`, and "torch", that importing a module loads next."""
    names = imported_on_load(sources[module])
    found = {"torch"} if any(map(_is_torch, names)) else set()
    for name in names:
        found |= {name, f"{name}.", *_parents(name)} & sources.keys()
    return found | (set(_parents(module)) & sources.keys())


def _parents(module: str) -> list[str]:
    """The packages whose __init__ runs before a module does."""
    parts = module.removesuffix(".").split(".")
    return [".".join(parts[:count]) + "." for count in range(1, len(parts))]


PROBE = """
import json, sys
target, argv = sys.argv[1], json.loads(sys.argv[2])
code = 0
try:
    if argv is not None:
        from netdistance.cli import main
        main(argv)
except SystemExit as stop:
    code = stop.code or 0
with open(target, "w") as stream:
    json.dump({"code": code, "modules": sorted(sys.modules)}, stream)
"""


def run_and_list_modules(
    argv: list[str] | None, folder: Path, before: str = ""
) -> tuple[int, list[str], str]:
    """Exit code, loaded modules and standard output of one command in a fresh interpreter."""
    target = folder / "modules.json"
    done = subprocess.run(
        [sys.executable, "-c", before + PROBE, str(target), json.dumps(argv)],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=120,
        check=False,
    )
    sys.stderr.write(done.stderr)  # pytest shows it where the test fails
    assert done.returncode == 0
    found = json.loads(target.read_text())
    assert isinstance(found["code"], int), found["code"]
    return found["code"], found["modules"], done.stdout


def unwanted(modules: Iterable[str]) -> list[str]:
    """Which of torch and matplotlib were loaded."""
    return sorted({name.split(".")[0] for name in modules} & {"torch", "matplotlib"})


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """Two small safetensors files, the second one slightly moved."""
    rng = np.random.default_rng(0)
    a = {f"layer.{i}.weight": rng.normal(size=(8, 6)).astype(np.float32) for i in range(3)}
    b = {name: (weight * 1.01).astype(np.float32) for name, weight in a.items()}
    paths = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_file(a, paths[0])
    save_file(b, paths[1])
    return str(paths[0]), str(paths[1])


def test_only_the_rooms_in_the_table_import_torch() -> None:
    problems = direct_importers(package_sources())
    assert not problems, f"torch is imported on load by {problems}: import it in the function"


def test_imports_are_absolute() -> None:
    problems = relative_importers(package_sources())
    assert not problems, f"relative imports in {problems}: write netdistance.<room> in full"
    assert relative_importers({"netdistance.a": "def f():\n    from . import b"})


def test_torch_free_modules_do_not_lead_to_torch() -> None:
    problems = leading_to_torch(package_sources())
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("argv", [["--help"], ["compare", "--help"], ["--version"]], ids=" ".join)
def test_help_is_light(argv: list[str], tmp_path: Path) -> None:
    code, modules, stdout = run_and_list_modules(argv, tmp_path)
    assert (code, unwanted(modules)) == (0, [])
    assert stdout


def test_compare_of_safetensors_is_light(pair: tuple[str, str], tmp_path: Path) -> None:
    code, modules, stdout = run_and_list_modules(["compare", *pair], tmp_path)
    assert (code, unwanted(modules)) == (0, [])
    assert "layer" in stdout


def test_compare_to_json_is_light(pair: tuple[str, str], tmp_path: Path) -> None:
    argv = ["compare", *pair, "--json", "-"]
    code, modules, stdout = run_and_list_modules(argv, tmp_path)
    assert (code, unwanted(modules)) == (0, [])
    assert json.loads(stdout)["pairing"]["compared"] == 3


def test_sensitivity_without_a_model_is_light(pair: tuple[str, str], tmp_path: Path) -> None:
    code, modules, stdout = run_and_list_modules(["sensitivity", pair[0]], tmp_path)
    assert (code, unwanted(modules)) == (0, [])
    assert "spectral norm" in stdout


def test_demo_is_light(tmp_path: Path) -> None:
    code, modules, stdout = run_and_list_modules(["demo"], tmp_path)
    assert (code, unwanted(modules)) == (0, [])
    assert stdout


def test_planted_heavy_import_is_seen_in_the_child(tmp_path: Path) -> None:
    # an empty module of that name stands in for the real one: only sys.modules is judged
    plant = "import sys, types; sys.modules['torch.nn'] = types.ModuleType('torch.nn')\n"
    _, modules, _ = run_and_list_modules(None, tmp_path, before=plant)
    assert unwanted(modules) == ["torch"]
    _, modules, _ = run_and_list_modules(None, tmp_path)
    assert unwanted(modules) == []


PLANTED_DIRECT = {
    "plain": "import torch",
    "submodule": "import torch.nn.functional as F",
    "from": "from torch import nn",
    "in a class body": "class A:\n    import torch",
    "in a try": "try:\n    import torch\nexcept ImportError:\n    pass",
    "else of TYPE_CHECKING": "if TYPE_CHECKING:\n    pass\nelse:\n    import torch",
}


@pytest.mark.parametrize("source", PLANTED_DIRECT.values(), ids=PLANTED_DIRECT.keys())
def test_planted_torch_import_is_found(source: str) -> None:
    assert direct_importers({"netdistance.linalg.sums": source}) == ["netdistance.linalg.sums"]
    assert direct_importers({"netdistance.bounds.trust": source}) == ["netdistance.bounds.trust"]
    assert direct_importers({"netdistance.studies.width": source}) == ["netdistance.studies.width"]
    assert not direct_importers({"netdistance.bounds.attack": source})
    assert not direct_importers({"netdistance.optim.": source})


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    import torch",
        "if TYPE_CHECKING:\n    import torch",
        "import torchlike",
        "from netdistance import torch_names",
    ],
)
def test_lazy_and_typing_imports_are_no_load(source: str) -> None:
    assert not direct_importers({"netdistance.linalg.sums": source})


def test_planted_way_to_torch_is_found() -> None:
    sources = {
        "netdistance.": "",
        "netdistance.bounds.": "from netdistance.bounds.attack import attack",
        "netdistance.bounds.attack": "import torch",
        "netdistance.bounds.trust": "import math",
        "netdistance.distances.relative": "from netdistance.bounds import trust",
    }
    way = "netdistance.bounds. -> netdistance.bounds.attack -> torch"
    problems = leading_to_torch(sources)
    assert f"netdistance.bounds.trust -> {way}" in problems
    assert any(line.startswith("netdistance.distances.relative") for line in problems)
    sources["netdistance.bounds."] = "def f():\n    import netdistance.bounds.attack"
    assert not leading_to_torch(sources)
