"""What a user's own function makes: it is named as file.py:factory or package.module:factory."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from netdistance.errors import InputError, UsageError, first_line


def made_by(spec: str, option: str) -> Any:
    """What the function that `spec` names returns; `option` is what the user typed before it.

    What it draws, or its file does, leaves torch's random generator as it was.

    Raises:
        UsageError: the spec lacks a file or a function.
        InputError: the file or module cannot be imported, has no such function, or that fails.
    """
    source, _, name = spec.rpartition(":")
    if not source or not name:
        raise UsageError(f"{option} {spec}: expected file.py:factory or package.module:factory")
    # what the file draws or seeds as it is imported, and what the function draws
    with torch.random.fork_rng(devices=[]):
        factory = getattr(_import(source), name, None)
        if not callable(factory):
            raise InputError(f"{source}: has no callable {name!r}; name a function in it")
        try:
            return factory()
        except (Exception, SystemExit) as error:  # the user's own code may raise anything
            what = f"{type(error).__name__}: {first_line(error)}"
            raise InputError(
                f"{spec}: the factory failed: {what}; it is called with no arguments"
            ) from error


def source_hash(spec: str) -> str:
    """The sha256, in hex, of the file that a factory which was called stands in; empty without one.

    What that file imports is not in it.
    """
    source = spec.rpartition(":")[0]
    origin = getattr(sys.modules.get(source), "__file__", None)
    path = Path(source if source.endswith(".py") else origin or "")
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _import(source: str) -> ModuleType:
    try:
        if not source.endswith(".py"):
            return importlib.import_module(source)
        path = Path(source)
        if not path.is_file():
            raise InputError(f"{source}: no such file")
        spec = importlib.util.spec_from_file_location(f"netdistance_model_{path.stem}", path)
        if spec is None or spec.loader is None:
            raise InputError(f"{source}: is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses in the file look themselves up there
        spec.loader.exec_module(module)
        return module
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        what = f"{type(error).__name__}: {first_line(error)}"
        raise InputError(f"{source}: importing it failed: {what}") from error
