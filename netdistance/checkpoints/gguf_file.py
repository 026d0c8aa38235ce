"""The GGUF format by our own reader: a validated header, then blocks by `os.preadv`.

Why not the library at run time: it maps the file, builds a Python object for every word of the
vocabulary, and trusts the counts of the header. Tensors of element types are read as they are;
those of block types are matrices of bytes here, which `encodings.gguf_blocks` decodes. Names are
Hugging Face's where `gguf_names` knows them.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import (
    BLOCK_ELEMENTS,
    Checkpoint,
    FileState,
    TensorSpec,
    brief,
    read_exactly,
)
from netdistance.checkpoints.gguf_header import Entry, Header, aligned, read_header
from netdistance.checkpoints.gguf_names import Names
from netdistance.checkpoints.gguf_types import BY_CODE
from netdistance.errors import CheckpointError

_PART = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)
_SHOWN = 20


@dataclass(slots=True)
class _Part:
    """One file, open, and what its header says."""

    path: Path
    descriptor: int
    state: FileState
    header: Header

    @classmethod
    def opened(cls, path: Path) -> _Part:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise CheckpointError(path, "not a regular file, expected a checkpoint file")
            state = FileState.of(descriptor)
            return cls(path, descriptor, state, read_header(descriptor, state.nbytes, path))
        except BaseException:
            os.close(descriptor)
            raise

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class GgufCheckpoint(Checkpoint):
    """A GGUF file, or all the parts of one that was split. Opening reads the headers alone."""

    format = "gguf"

    def __init__(self, path: Path) -> None:
        """Open and validate. Raises CheckpointError where a header breaks a rule."""
        self.path = path
        self._parts: list[_Part] = []
        self._places: dict[str, tuple[_Part, int]] = {}
        with ExitStack() as undo:
            undo.callback(self.close)
            self._open_parts()
            self.nbytes = sum(part.state.nbytes for part in self._parts)
            found = [(part, spec, at) for part in self._parts for spec, at in _specs(part)]
            self.names = Names(self._metadata(), [spec.name for _, spec, _ in found])
            self.notes = self.names.notes
            self.specs: dict[str, TensorSpec] = {}
            for part, spec, at in found:
                self._add(part, spec, at)
            undo.pop_all()

    def _open_parts(self) -> None:
        self._parts.append(_Part.opened(self.path))
        count = self._parts[0].header.metadata.get("split.count", 0)
        if not isinstance(count, int) or count <= 1:
            return
        for number, path in enumerate(_siblings(self.path, count)):
            part = self._parts[0] if path.name == self.path.name else _Part.opened(path)
            self._parts += [] if part is self._parts[0] else [part]
            own = [part.header.metadata.get(key) for key in ("split.no", "split.count")]
            if own != [number, count]:
                what = f"split.no and split.count are {own}, expected {[number, count]}"
                raise CheckpointError(path, what)
        self._parts.sort(key=lambda part: part.header.metadata["split.no"])
        tensors = sum(len(part.header.entries) for part in self._parts)
        expected = self._parts[0].header.metadata.get("split.tensors.count", tensors)
        if tensors != expected:
            what = f"its parts hold {tensors} tensors, split.tensors.count is {brief(expected)}"
            raise CheckpointError(self.path, what)

    def _metadata(self) -> dict[str, Any]:
        """Of all parts, the first that has a key deciding."""
        return {k: v for part in reversed(self._parts) for k, v in part.header.metadata.items()}

    def _add(self, part: _Part, spec: TensorSpec, at: int) -> None:
        name = self.names.of(spec.name)
        if name in self.specs:
            raise CheckpointError(part.path, "stands in two parts of the file", tensor=name)
        self._places[name] = part, at
        self.specs[name] = TensorSpec(
            name, spec.shape, spec.encoding, spec.nbytes, spec.unreadable, values=spec.values
        )

    def blocks(
        self, name: str, *, start: int = 0, stop: int | None = None, size: int = BLOCK_ELEMENTS
    ) -> Iterator[NDArray[Any]]:
        """As Checkpoint.blocks."""
        spec = self.specs[name]
        if spec.unreadable is not None or spec.dtype.decode is None:
            raise CheckpointError(self.path, str(spec.unreadable), tensor=name)
        part, at = self._places[name]
        item = spec.dtype.bits // 8
        stop = spec.elements if stop is None else min(stop, spec.elements)
        buffer = np.empty(min(size, max(stop - start, 0)) * item, dtype=np.uint8)
        for begin in range(start, stop, size):
            raw = buffer[: (min(begin + size, stop) - begin) * item]
            read_exactly(part.descriptor, raw.data, at + begin * item, part.path)
            yield spec.dtype.decode(raw)

    def verify_unchanged(self) -> None:
        """As Checkpoint.verify_unchanged, for every part."""
        for part in self._parts:
            part.state.require_same(part.descriptor, part.path)

    def close(self) -> None:
        """Close every part; a second call does nothing."""
        for part in self._parts:
            part.close()


def _siblings(path: Path, count: int) -> list[Path]:
    """The files of a split checkpoint in order, by the name of one of them."""
    match = _PART.fullmatch(path.name)
    if match is None or int(match["count"]) != count:
        what = f"one of {count} parts, and not named NAME-00001-of-{count:05}.gguf"
        raise CheckpointError(path, f"{what}; name the parts so, or join them: gguf-split --merge")
    names = [f"{match['stem']}-{n:05}-of-{count:05}.gguf" for n in range(1, count + 1)]
    absent = [name for name in names if not (path.parent / name).exists()]
    if absent:
        more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
        what = f"{len(absent)} of {count} parts are missing: {', '.join(absent[:_SHOWN])}{more}"
        raise CheckpointError(path, f"{what}; download them into the same folder")
    return [path.parent / name for name in names]


def _specs(part: _Part) -> list[tuple[TensorSpec, int]]:
    """The tensors of a part with their places in the file, in the order of the header.

    As GGML demands, the data follow each other without hole or overlap but for the padding to the
    alignment, to the end of the file. A writer may leave out the last padding.
    """
    header, size = part.header, part.state.nbytes
    room = max(0, size - header.data_start)
    entries = sorted(header.entries, key=lambda entry: (entry.offset, _nbytes(part, entry) or 0))
    position, end, specs = 0, 0, {}
    for number, entry in enumerate(entries):
        if entry.offset % header.alignment:
            what = f"offset {entry.offset} is no multiple of the alignment {header.alignment}"
            raise CheckpointError(part.path, f"invalid header: {what}", tensor=entry.name)
        if entry.offset != position:
            what = "overlaps" if entry.offset < position else "leaves a hole after"
            raise CheckpointError(
                part.path,
                f"invalid header: begins at byte {entry.offset} of the data, expected {position}: "
                f"it {what} the data before it",
                tensor=entry.name,
            )
        nbytes = _nbytes(part, entry)
        if nbytes is None:  # up to the next tensor, or to the end
            following = entries[number + 1].offset if number + 1 < len(entries) else room
            nbytes = max(0, following - position)
        end, position = position + nbytes, aligned(position + nbytes, header.alignment)
        if end > room:
            what = f"truncated: needs {header.data_start + end} bytes, has {size}"
            raise CheckpointError(part.path, what, tensor=entry.name)
        specs[entry.name] = _spec(entry, nbytes), header.data_start + entry.offset
    _require_end(part, end, position)
    return [specs[entry.name] for entry in header.entries]


def _nbytes(part: _Part, entry: Entry) -> int | None:
    """How many bytes its numbers take; None where the type is not known."""
    kind = BY_CODE.get(entry.code)
    if kind is None:
        return None
    row = entry.shape[-1] if entry.shape else 1
    if row % kind.block:
        what = f"rows of {row} numbers are no whole blocks of {kind.block} ({kind.name})"
        raise CheckpointError(part.path, f"invalid header: {what}", tensor=entry.name)
    return math.prod(entry.shape) // kind.block * kind.nbytes


def _spec(entry: Entry, nbytes: int) -> TensorSpec:
    """The tensor as it lies: numbers of an element type, or the bytes of its blocks."""
    kind = BY_CODE.get(entry.code)
    if kind is None:
        reason = f"GGML's type {entry.code} is not known here"
        return TensorSpec(entry.name, entry.shape, f"GGML type {entry.code}", nbytes, reason)
    if kind.is_plain:
        return TensorSpec(entry.name, entry.shape, kind.name, nbytes)
    row = entry.shape[-1] // kind.block * kind.nbytes
    return TensorSpec(entry.name, (*entry.shape[:-1], row), kind.name, nbytes, values="U8")


def _require_end(part: _Part, end: int, padded: int) -> None:
    """The file ends where its last tensor does, or with the padding after it."""
    start, size = part.header.data_start, part.state.nbytes
    if not part.header.entries or size in (start + end, start + padded):
        return
    if size < start + padded:
        raise CheckpointError(part.path, f"truncated: needs {start + padded} bytes, has {size}")
    extra = size - start - padded
    what = f"{extra} bytes after the last tensor: expected {start + padded}, has {size}"
    raise CheckpointError(part.path, what)
