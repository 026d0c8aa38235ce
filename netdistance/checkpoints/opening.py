"""Which format a file is in, by its content and not by its suffix."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from netdistance.checkpoints.base import Checkpoint
from netdistance.checkpoints.safetensors_file import SafetensorsCheckpoint
from netdistance.errors import CheckpointError

_SNIFF_BYTES = 512


@dataclass(frozen=True, slots=True)
class Format:
    """A checkpoint format: how its first bytes look, and how it is opened."""

    name: str
    matches: Callable[[bytes], bool]
    open: Callable[[Path], Checkpoint]


def _open_torch(path: Path) -> Checkpoint:
    # torch costs a second and 220 MiB to import: only its own files pay for it
    from netdistance.checkpoints.torch_pickle import TorchCheckpoint

    return TorchCheckpoint(path)


def _is_pickle(head: bytes) -> bool:
    # protocols 2 to 5 begin with 0x80 and their number
    return head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


# safetensors has no magic number, so it stands last and its reader judges
FORMATS: tuple[Format, ...] = (
    Format("torch zip", lambda head: head[:4] == b"PK\x03\x04", _open_torch),
    Format("torch pickle", _is_pickle, _open_torch),
    Format("safetensors", lambda head: True, SafetensorsCheckpoint),
)

_NOT_WEIGHTS = (
    (b"version https://git-lfs", "a git-LFS pointer, not weights; run git lfs pull"),
    (b"<!doctype html", "looks like an HTML page, not weights; download the file itself"),
    (b"<html", "looks like an HTML page, not weights; download the file itself"),
)


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """A checkpoint, opened and validated, its tensors unread. Close it, or use `with`.

    Raises:
        CheckpointError: no such file, not a regular file, or not a checkpoint that can be read.
    """
    path = Path(path)
    head = _first_bytes(path)
    for marker, what in _NOT_WEIGHTS:
        if head.lstrip().lower().startswith(marker):
            raise CheckpointError(path, what)
    return next(f for f in FORMATS if f.matches(head)).open(path)


def _first_bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        # before opening: opening a FIFO would wait for a writer for ever
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise CheckpointError(path, f"{kind}, expected a checkpoint file")
        if status.st_size == 0:
            raise CheckpointError(path, "empty file (0 bytes)")
        with path.open("rb") as file:
            return file.read(_SNIFF_BYTES)
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CheckpointError(path, str(reason).lower()) from error
