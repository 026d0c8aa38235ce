"""What a user gets who only installs: the wheel, its requirements, and the two ways to start it."""

from __future__ import annotations

import ast
import base64
import csv
import hashlib
import json
import shlex
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from safetensors.numpy import save_file

from netdistance import __version__
from tests.cli.clean_environment import (
    ROOT,
    Environment,
    build_wheel,
    closure,
    registry_environment,
    runtime_environment,
)

NEEDED = (
    "netdistance/py.typed",
    "netdistance/__init__.pyi",
    "netdistance/demo/spiral.safetensors",
    "netdistance/demo/spiral-int4.safetensors",
    "netdistance/demo/points.npy",
    "netdistance/demo/labels.npy",
)
DEVELOPMENT = ("pytest", "hypothesis", "mypy", "ruff", "hatchling", "xdist", "tests")

Contents = dict[str, bytes]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def contents(wheel: Path) -> Contents:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return runtime_environment(wheel, tmp_path_factory.mktemp("installed"))


def described(contents: Contents, name: str) -> str:
    """A file of the wheel's dist-info folder."""
    return contents[f"netdistance-{__version__}.dist-info/{name}"].decode()


def record_problems(contents: Contents) -> list[str]:
    """Files that RECORD does not list, lists in vain, or lists with another hash or size."""
    rows = {name: rest for name, *rest in csv.reader(described(contents, "RECORD").splitlines())}
    problems = sorted(rows.keys() ^ contents.keys())
    for name, (digest, size) in rows.items():
        if name in contents and not name.endswith("/RECORD"):
            found = base64.urlsafe_b64encode(hashlib.sha256(contents[name]).digest())
            same = digest == f"sha256={found.decode().rstrip('=')}"
            problems += [] if same and int(size) == len(contents[name]) else [name]
    return problems


def imported(sources: Iterable[str]) -> set[str]:
    """Names of the packages of others that sources import, anywhere in a module."""
    names: set[str] = set()
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"netdistance"}


def distributions(packages: set[str]) -> set[str]:
    """What has to be installed for the packages to be there."""
    known = metadata.packages_distributions()
    return {name.replace("_", "-") for package in packages for name in known[package]}


def test_the_wheel_holds_the_package_and_nothing_else(contents: Contents) -> None:
    folders = {name.split("/")[0] for name in contents}
    assert folders == {"netdistance", f"netdistance-{__version__}.dist-info"}
    files = (path for path in (ROOT / "netdistance").rglob("*") if path.is_file())
    source = {
        path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts
    }
    assert {name for name in contents if name.startswith("netdistance/")} == source
    assert set(NEEDED) <= source
    assert described(contents, "licenses/LICENSE") == (ROOT / "LICENSE").read_text()
    assert "netdistance = netdistance.cli:main" in described(contents, "entry_points.txt")


def test_the_wheel_agrees_with_its_record(contents: Contents) -> None:
    assert record_problems(contents) == []
    changed = contents | {"netdistance/py.typed": b"x", "netdistance/more.py": b""}
    assert record_problems(changed) == ["netdistance/more.py", "netdistance/py.typed"]


EXTRAS = ("digits", "gguf", "hub", "transformers")


def test_the_requirements_are_what_the_package_imports(contents: Contents) -> None:
    headers = Parser().parsestr(described(contents, "METADATA"), headersonly=True)
    requirements = [Requirement(text) for text in headers.get_all("Requires-Dist", [])]
    always = {requirement.name for requirement in requirements if requirement.marker is None}
    extras = {
        requirement.name
        for requirement in requirements
        if str(requirement.marker) in {f'extra == "{extra}"' for extra in EXTRAS}
    }
    sources = [source.decode() for name, source in contents.items() if name.endswith(".py")]
    assert extras == {"gguf", "huggingface-hub", "transformers", "scikit-learn"}
    assert always | extras == distributions(imported(sources))
    assert headers["Requires-Python"] == ">=3.11"


def test_planted_imports_are_found() -> None:
    planted = ["import json, numpy.linalg\nfrom netdistance import demo", "def f():\n import torch"]
    assert imported(planted) == {"numpy", "torch"}
    assert distributions({"numpy", "torch"}) == {"numpy", "torch"}
    assert {"rich", "markdown-it-py", "mdurl"} <= closure(["rich>=13", "pytest; extra == 'dev'"])
    assert "pytest" not in closure(["rich>=13", "pytest; extra == 'dev'"])


def test_the_environment_is_clean(installed: Environment) -> None:
    where = installed.run("python", "-c", "import netdistance; print(netdistance.__file__)")
    assert Path(where.stdout.strip()).parent == installed.packages / "netdistance"
    tried = "import importlib.util as u; print([n for n in {} if u.find_spec(n)])"
    found = installed.run("python", "-c", tried.format((*DEVELOPMENT, "numpy")))
    assert found.stdout.strip() == "['numpy']", found


def test_both_ways_to_start_it(installed: Environment) -> None:
    for words in (["netdistance"], ["python", "-m", "netdistance"]):
        version = installed.run(*words, "--version")
        assert (version.returncode, version.stdout) == (
            0, f"netdistance, version {__version__}\n",
        )  # fmt: skip
        assert installed.run(*words, "--help").stdout.startswith("Usage: netdistance [OPTIONS]")


def test_the_demo_and_what_it_says_to_run_next(installed: Environment) -> None:
    demo_works(installed)
    shown = installed.run("netdistance", "demo").stdout
    _, start, rest = shown.partition("  cd ")
    commands = (start + rest.partition("  netdistance perturb")[0]).replace("\\\n", " ")
    assert shlex.quote(str(installed.packages / "netdistance" / "demo")) in commands
    # the shell as a user's: stops at the first line that fails
    done = installed.run("bash", "-ec", commands)
    assert done.returncode == 0, done.stderr
    assert "known change certificate" in done.stdout


def demo_works(environment: Environment) -> None:
    done = environment.run("netdistance", "demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert "spiral-int4 is within int4 rounding of spiral" in " ".join(done.stdout.split())


def compare_works(environment: Environment) -> None:
    """Compare two files written here, and look at the report and the page that come back."""
    weight = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    save_file({"0.weight": weight}, environment.folder / "a.safetensors")
    save_file({"0.weight": weight * 1.5}, environment.folder / "b.safetensors")
    files = ("a.safetensors", "b.safetensors")
    done = environment.run("netdistance", "compare", *files, "--json", "-", "--html", "page.html")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["tensors"]
    assert row["metrics"]["relative_frobenius"] == {"kind": "exact", "value": 0.5}
    assert b"<svg" in (environment.folder / "page.html").read_bytes()
    failed = environment.run("netdistance", "compare", *files, "--fail-if", "max_abs>1", "-q")
    assert failed.returncode == 1, failed.stderr


def test_two_files_are_compared(installed: Environment) -> None:
    compare_works(installed)


@pytest.fixture
def bare() -> Iterator[Environment]:
    # more than a gigabyte: pytest would keep the last three
    with tempfile.TemporaryDirectory() as folder:
        yield registry_environment(Path(folder))


@pytest.mark.slow
def test_a_registry_has_all_that_is_required(wheel: Path, bare: Environment) -> None:
    pip = ("-m", "pip", "--disable-pip-version-check")
    reached = bare.run("python", *pip, "download", "--no-deps", "--dest", ".", "click")
    if reached.returncode != 0:
        pytest.skip("no package registry can be reached")
    pinned = ("-c", str(ROOT / "constraints.txt"))
    done = bare.run("python", *pip, "install", "--quiet", *pinned, str(wheel))
    assert done.returncode == 0, done.stderr
    assert bare.run("python", *pip, "check").returncode == 0
    assert bare.run("python", "-c", "import pytest").returncode != 0
    demo_works(bare)
    compare_works(bare)
