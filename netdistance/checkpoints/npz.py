"""NumPy's .npz files: a zip archive of .npy members, streamed without unpickling anything.

The layout of a member is that of `numpy.lib.format`, whose own parser reads its header. Stored
members are read by `os.preadv`; deflated ones are read from front to back, so nothing that a header
claims is ever allocated before the bytes have been seen.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO, Any

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
from netdistance.checkpoints.dtypes import BY_NAME
from netdistance.checkpoints.npy_header import MAX_HEADER_BYTES, npy_header
from netdistance.checkpoints.positional_file import PositionalFile
from netdistance.errors import CheckpointError

# numpy's kind and size -> the safetensors name
ENCODINGS = {
    "f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8",
    "u8": "U64", "u4": "U32", "u2": "U16", "u1": "U8", "b1": "BOOL", "c8": "C64", "c16": "C128",
}  # fmt: skip
_SUFFIX = ".npy"
_DEFLATE_LIMIT = 1032  # no deflate stream grows by more (zlib's technical notes)
_SKIP_BYTES = 1 << 20
_MAX_CURSORS = 8
_MAX_HELD_BYTES = 1 << 30  # a packed member of these bytes may be held whole, see _held


@dataclass(frozen=True, slots=True)
class _Member:
    """One array of the archive: `skip` bytes of .npy header, then its numbers."""

    entry: zipfile.ZipInfo
    dtype: np.dtype[Any]
    columns_first: bool
    skip: int
    offset: int  # of the numbers in the file; -1 where they are deflated


@dataclass(slots=True)
class _Cursor:
    """A deflated member that has been read up to `position`."""

    name: str
    file: IO[bytes]
    position: int


class NpzCheckpoint(Checkpoint):
    """An archive of arrays. Opening reads the zip directory and every member's header."""

    format = "npz"

    def __init__(self, path: Path) -> None:
        """Open and validate. Raises CheckpointError where the zip or a header breaks a rule."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._archive: zipfile.ZipFile | None = None
        self._members: dict[str, _Member] = {}
        self._cursors: list[_Cursor] = []
        self._whole: tuple[str, NDArray[Any]] | None = None
        self._cursors_lock, self._whole_lock = Lock(), Lock()
        try:
            self._state = FileState.of(self._descriptor)
            self.nbytes = self._state.nbytes
            self.specs, self.notes = self._read_directory()
        except BaseException:
            self.close()
            raise

    def _read_directory(self) -> tuple[dict[str, TensorSpec], tuple[str, ...]]:
        try:
            self._archive = zipfile.ZipFile(io.BufferedReader(PositionalFile(self._descriptor)))
        except Exception as error:  # zipfile raises half a dozen classes at a damaged directory
            raise CheckpointError(self.path, f"not a readable zip archive ({error})") from error
        specs: dict[str, TensorSpec] = {}
        left_out: list[str] = []
        for entry in self._archive.infolist():
            if not entry.filename.endswith(_SUFFIX):
                left_out.append(entry.filename)
                continue
            name = entry.filename.removesuffix(_SUFFIX)
            if name in specs:
                raise CheckpointError(self.path, "stands twice in the archive", tensor=name)
            specs[name] = self._member(name, entry)
        if left_out:
            return specs, (f"members that are not arrays were left out: {', '.join(left_out)}",)
        return specs, ()

    def _member(self, name: str, entry: zipfile.ZipInfo) -> TensorSpec:
        """The spec of a member, whose place is remembered."""
        self._require_plausible(name, entry)
        with self._opened(name, entry) as file:
            head = self._read(name, file, MAX_HEADER_BYTES + 12)
        shape, columns_first, dtype, skip = npy_header(head, self.path, name)
        needs, holds = math.prod(shape) * dtype.itemsize, entry.file_size - skip
        if needs != holds:
            raise CheckpointError(
                self.path,
                f"shape {brief(shape)} of {dtype.str} needs {needs} bytes, its member has {holds}",
                tensor=name,
            )
        packed = entry.compress_type != zipfile.ZIP_STORED
        offset = -1 if packed else self._data_offset(name, entry) + skip
        many_axes = sum(size > 1 for size in shape) > 1
        self._members[name] = _Member(entry, dtype, columns_first and many_axes, skip, offset)
        encoding = ENCODINGS.get(dtype.str[1:], dtype.str[1:])
        reason = None
        if encoding not in BY_NAME:
            reason = f"{dtype} has no decoder"
        elif self._members[name].columns_first and packed and needs > _MAX_HELD_BYTES:
            reason = f"compressed and in Fortran order, {needs} bytes: save it in C order"
        return TensorSpec(name, shape, encoding, needs, reason)

    def _require_plausible(self, name: str, entry: zipfile.ZipInfo) -> None:
        """Refuse what the directory alone shows to be impossible or not to be read."""
        problem = None
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            problem = f"zip compression method {entry.compress_type}, expected stored or deflated"
        elif entry.flag_bits & 1:
            problem = "an encrypted zip member; not read"
        elif entry.file_size > _DEFLATE_LIMIT * entry.compress_size + 64:
            problem = (
                f"claims {entry.file_size} bytes from {entry.compress_size} compressed ones, "
                "more than deflate can hold"
            )
        elif entry.compress_type == zipfile.ZIP_STORED and entry.file_size != entry.compress_size:
            problem = f"stored, but of {entry.compress_size} and of {entry.file_size} bytes"
        if problem is not None:
            raise CheckpointError(self.path, problem, tensor=name)

    def _data_offset(self, name: str, entry: zipfile.ZipInfo) -> int:
        """Where a stored member's bytes begin: after a local header with lengths of its own."""
        local = bytearray(30)
        read_exactly(self._descriptor, memoryview(local), entry.header_offset, self.path)
        lengths = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
        begin = entry.header_offset + 30 + lengths
        if begin + entry.file_size > self._state.nbytes:
            raise CheckpointError(
                self.path,
                f"truncated: needs {begin + entry.file_size} bytes, has {self._state.nbytes}",
                tensor=name,
            )
        return begin

    def _opened(self, name: str, entry: zipfile.ZipInfo) -> IO[bytes]:
        try:
            if self._archive is None:
                raise ValueError("closed")
            return self._archive.open(entry)
        except Exception as error:  # as for the directory
            raise CheckpointError(self.path, f"cannot be read ({error})", tensor=name) from error

    def _read(self, name: str, file: IO[bytes], count: int) -> bytes:
        """Up to `count` bytes of a member; fewer at its end only."""
        try:
            return file.read(count)
        except Exception as error:  # zlib's, zipfile's and the system's
            what = str(error) or "it ends early"
            raise CheckpointError(self.path, f"cannot be read ({what})", tensor=name) from error

    def blocks(
        self, name: str, *, start: int = 0, stop: int | None = None, size: int = BLOCK_ELEMENTS
    ) -> Iterator[NDArray[Any]]:
        """As Checkpoint.blocks; a deflated tensor is cheap from front to back only."""
        spec, member = self.specs[name], self._members[name]
        if spec.unreadable is not None:
            raise CheckpointError(self.path, spec.unreadable, tensor=name)
        stop = spec.elements if stop is None else min(stop, spec.elements)
        width = member.dtype.itemsize
        if member.columns_first:
            array = self._held(name, member)
            for begin in range(start, stop, size):
                yield native(np.asarray(array.flat[begin : min(begin + size, stop)]))
            return
        buffer = np.empty(min(size, max(stop - start, 0)) * width, dtype=np.uint8)
        for begin in range(start, stop, size):
            raw = buffer[: (min(begin + size, stop) - begin) * width]
            self._fill(name, member, begin * width, raw)
            yield native(raw.view(member.dtype))

    def _held(self, name: str, member: _Member) -> NDArray[Any]:
        """The whole of a tensor in Fortran order: its rows lie scattered. One is kept."""
        with self._whole_lock:
            if self._whole is None or self._whole[0] != name:
                self._whole = None
                raw = self._room_for(name)
                self._fill(name, member, 0, raw)
                self._whole = name, raw.view(member.dtype).reshape(self.specs[name].shape[::-1]).T
            return self._whole[1]

    def _room_for(self, name: str) -> NDArray[np.uint8]:
        wanted = self.specs[name].nbytes
        try:
            return np.empty(wanted, dtype=np.uint8)
        except MemoryError as error:
            what = f"in Fortran order: {wanted} bytes do not fit into memory; save it in C order"
            raise CheckpointError(self.path, what, tensor=name) from error

    def _fill(self, name: str, member: _Member, offset: int, raw: NDArray[np.uint8]) -> None:
        """The bytes of a tensor from `offset` on."""
        if member.offset >= 0:
            read_exactly(self._descriptor, raw.data, member.offset + offset, self.path)
            return
        cursor = self._cursor(name, member, member.skip + offset)
        filled = 0
        while filled < len(raw):
            part = self._read(name, cursor.file, min(len(raw) - filled, _SKIP_BYTES))
            if not part:
                raise CheckpointError(self.path, "its deflated data end early", tensor=name)
            raw[filled : filled + len(part)] = np.frombuffer(part, dtype=np.uint8)
            filled += len(part)
        cursor.position += filled
        with self._cursors_lock:
            self._cursors.append(cursor)
            spare = self._cursors.pop(0) if len(self._cursors) > _MAX_CURSORS else None
        if spare is not None:
            spare.file.close()

    def _cursor(self, name: str, member: _Member, position: int) -> _Cursor:
        """A reader at `position`: one that stands before it moves on, or a new one starts."""
        with self._cursors_lock:
            behind = [c for c in self._cursors if c.name == name and c.position <= position]
            found = max(behind, key=lambda c: c.position, default=None)
            if found is not None:
                self._cursors.remove(found)
        cursor = found or _Cursor(name, self._opened(name, member.entry), 0)
        while cursor.position < position:
            part = self._read(name, cursor.file, min(position - cursor.position, _SKIP_BYTES))
            if not part:
                raise CheckpointError(self.path, "its deflated data end early", tensor=name)
            cursor.position += len(part)
        return cursor

    def verify_unchanged(self) -> None:
        """As Checkpoint.verify_unchanged."""
        self._state.require_same(self._descriptor, self.path)

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        if self._descriptor >= 0:
            if self._archive is not None:
                self._archive.close()
            os.close(self._descriptor)
            self._descriptor, self._archive, self._whole = -1, None, None
            self._cursors = []


def native(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers in this machine's byte order; any byte but 0 is true, as in every format here."""
    if values.dtype.kind == "b":
        return np.not_equal(values.view(np.uint8), 0)
    swapped: NDArray[Any] = values.astype(values.dtype.newbyteorder("="), copy=False)
    return swapped


def is_npz(head: bytes, path: Path) -> bool:
    """Whether a file is a zip archive that holds .npy members and no pickle of torch's."""
    if head[:4] != b"PK\x03\x04":
        return False
    first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    with suppress(Exception), zipfile.ZipFile(path) as archive:  # damaged: the first name decides
        names = archive.namelist()
        return any(n.endswith(_SUFFIX) for n in names) and not _has_pickle(names)
    return first.endswith(_SUFFIX.encode())


def _has_pickle(names: list[str]) -> bool:
    return any(n == "data.pkl" or n.endswith("/data.pkl") for n in names)
