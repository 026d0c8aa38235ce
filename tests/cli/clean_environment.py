"""The wheel that the project builds, and environments that hold it without development tools."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment; its programs run in a folder of their own, never in the checkout."""

    home: Path
    folder: Path

    @property
    def programs(self) -> Path:
        """Where its python and the `netdistance` command are."""
        return self.home / "bin"

    @property
    def packages(self) -> Path:
        """Its site-packages."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.home / "lib" / version / "site-packages"

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of its programs as a user does who has activated it."""
        return subprocess.run(
            [program, *arguments],
            env=self._variables(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def _variables(self) -> Mapping[str, str]:
        kept = {name: value for name, value in os.environ.items() if name[:6] != "PYTHON"}
        return {**kept, "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}"}


def build_wheel(folder: Path) -> Path:
    """The project's wheel, built into the folder without the network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return wheel


def runtime_environment(wheel: Path, folder: Path) -> Environment:
    """The wheel installed by pip beside links to what it requires, directly or not.

    It shows that the requirements suffice and that no development tool is needed. It does not show
    that a registry has them: the links lead to what is installed where the tests run.
    """
    made = _empty(folder, with_pip=False)
    target = str(made.programs / "python")
    pip = [sys.executable, "-m", "pip", "--python", target, "install"]
    quiet = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    subprocess.run([*pip, *quiet], capture_output=True, check=True, timeout=120)
    (own,) = metadata.distributions(name="netdistance", path=[str(made.packages)])
    for name in closure(own.requires or ()):
        for place in _places(name):
            link = made.packages / place.name
            if not link.exists():  # distributions share folders, such as nvidia
                link.symlink_to(place)
    return made


def registry_environment(folder: Path) -> Environment:
    """An environment with nothing but pip in it."""
    return _empty(folder, with_pip=True)


def _empty(folder: Path, *, with_pip: bool) -> Environment:
    work = folder / "work"
    work.mkdir(parents=True)
    venv.create(folder / "venv", with_pip=with_pip, symlinks=True)
    return Environment(folder / "venv", work)


def closure(requirements: Iterable[str]) -> set[str]:
    """The names of all distributions that the requirements lead to, extras left out."""
    found: set[str] = set()
    pending = list(requirements)
    while pending:
        requirement = Requirement(pending.pop())
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and requirement.name not in found:
            found.add(requirement.name)
            pending += metadata.requires(requirement.name) or ()
    return found


def _places(distribution: str) -> set[Path]:
    """The files and folders that a distribution put directly into its site-packages."""
    installed = metadata.distribution(distribution)
    tops = {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}
    assert tops, f"{distribution} does not say which files it consists of"
    return {Path(str(installed.locate_file(top))) for top in tops}
