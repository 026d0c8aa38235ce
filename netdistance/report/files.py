"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from netdistance.errors import OutputError


@contextmanager
def written_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which replaces `path` at the end; on any error `path` stays as it was.

    A device is written to.

    Raises:
        OutputError: the folder is not writable or the disk is full; no temporary file stays.
    """
    # not mkstemp, whose files only their owner may read
    temporary = path.with_name(f".netdistance-{path.name[-64:]}-{os.getpid()}.tmp")
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            with path.open("wb") as device:
                yield device
            return
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by a file with `content`, or leave it as it was; a device is written to.

    Raises:
        OutputError: the folder is not writable or the disk is full; no temporary file stays.
    """
    with written_atomically(path) as file:
        file.write(content)


def make_folder(path: Path) -> None:
    """The folder and its parents, made where they are missing.

    Raises:
        OutputError: it cannot be made, or a file stands there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be made: {error.strerror}") from error
