"""What ran on what: the only part of a report that may differ between two runs."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

import netdistance

if TYPE_CHECKING:
    from netdistance.checkpoints.base import Checkpoint


def provenance(options: Any, *checkpoints: Checkpoint) -> dict[str, Any]:
    """Versions, files with their sizes and formats, and the settings of the run."""
    torch = sys.modules.get("torch")
    return {
        "netdistance": netdistance.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": None if torch is None else str(torch.__version__),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "files": [_file(checkpoint) for checkpoint in checkpoints],
        "settings": {f.name: _plain(getattr(options, f.name)) for f in fields(options)},
    }


def with_note(facts: Mapping[str, Any], number: int, note: str) -> dict[str, Any]:
    """The provenance with one more note on the file of that number; as it is for an empty note."""
    files = [{**file, "notes": [*file["notes"]]} for file in facts["files"]]
    files[number]["notes"] += [note] if note else []
    return {**facts, "files": files}


def _file(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "path": str(checkpoint.path),
        "format": checkpoint.format,
        "nbytes": checkpoint.nbytes,
        "notes": list(checkpoint.notes),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(member) for member in value]
    if isinstance(value, bool | int | float | str | os.PathLike | None):
        return os.fspath(value) if isinstance(value, os.PathLike) else value
    return f"<{type(value).__name__}>"  # a module or an array of the caller's
