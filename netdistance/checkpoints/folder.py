"""A model folder: the one index or checkpoint in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from netdistance.errors import CheckpointError

# what training leaves beside the weights under a suffix of theirs: optimiser state never counts
_NOT_WEIGHTS = (
    *("training_args.bin", "optimizer*.bin", "optimizer*.pt", "scheduler*.pt", "scaler*.pt"),
    *("scheduler*.bin", "scaler*.bin", "rng_state*.pth", "random_states*.pkl"),
)
_INDEX = ".index.json"
# the parts of a split GGUF file after its first, which opens them all
_LATER_PART = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf$")
_SHOWN = 20


def checkpoint_in(folder: Path, suffixes: tuple[str, ...]) -> Path:
    """The file to open for a folder: its only index, else its only checkpoint.

    Raises:
        CheckpointError: there is none, or more than one; it lists what was found.
    """
    names = _names(folder)
    found = _checkpoints(names, suffixes)
    if len(found) == 1:
        return folder / found[0]
    if found:
        raise CheckpointError(
            folder, f"a directory of {len(found)} checkpoints: {_listed(found)}; name one"
        )
    raise CheckpointError(
        folder,
        f"a directory without an index or a checkpoint, found {_listed(names) or 'nothing'}",
    )


def beside(folder: Path, own: Sequence[str], suffixes: tuple[str, ...]) -> list[str]:
    """The indices or checkpoints in a folder other than those named `own`.

    Raises:
        CheckpointError: it cannot be read.
    """
    return [name for name in _checkpoints(_names(folder), suffixes) if name not in own]


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise CheckpointError(folder, str(error.strerror).lower()) from error


def _checkpoints(names: Sequence[str], suffixes: tuple[str, ...]) -> list[str]:
    return [name for name in names if name.endswith(_INDEX)] or [
        name
        for name in names
        if Path(name).suffix.lower() in suffixes
        and not any(fnmatch(name, pattern) for pattern in _NOT_WEIGHTS)
        and not _LATER_PART.search(name)
    ]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
