"""The header of a GGUF file, version 2 or 3: metadata, then one entry for each tensor.

Nothing that the header claims is allocated before the bytes that it takes have been seen, and only
small metadata are kept: a vocabulary is walked over. The layout is the published one
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netdistance.checkpoints.base import MAX_ELEMENTS, brief, read_exactly
from netdistance.errors import CheckpointError

# vocabularies of 256 thousand words with their merges take 20 MB
MAX_HEADER_BYTES = 100_000_000
# real files have some tens: 65,536 of the longest names that are read hold a few MB
_MAX_KEYS = 1 << 16
_MAX_TEXT = 1 << 10  # bytes of a name, a key, or of a text that is kept
_MAX_KEPT = 1 << 10  # numbers of an array that is kept
_MAX_AXES = 4  # GGML_MAX_DIMS
_WINDOW = 1 << 20
_ALIGNMENT = 32  # where general.alignment does not say
_STRING, _ARRAY = 8, 9
# types of values, with the letters of `struct`
_NUMBERS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor as the header has it, its shape in numpy's order; `offset` is among the data."""

    name: str
    shape: tuple[int, ...]
    code: int
    offset: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself; `data_start` is where its tensors begin."""

    metadata: Mapping[str, Any]
    entries: tuple[Entry, ...]
    alignment: int
    data_start: int


def read_header(descriptor: int, size: int, path: Path) -> Header:
    """The header of an open file of `size` bytes.

    Raises:
        CheckpointError: it breaks a rule of the format, or claims more than the file holds.
    """
    walk = _Walk(descriptor, size, path)
    if walk.take(4) != b"GGUF":
        raise CheckpointError(path, "not GGUF: its first four bytes are something else")
    version = walk.number("I")
    if version not in (2, 3):
        what = f"GGUF of version {version}, expected 2 or 3"
        if version in (2 << 24, 3 << 24):
            what = "GGUF in big-endian byte order, expected little-endian; convert it anew"
        raise CheckpointError(path, what)
    # the least that an entry takes: its name's length, axes, type and offset; a key's length and
    # type, and a value of one byte
    tensors, keys = walk.count(24, "tensors"), walk.count(13, "keys")
    if keys > _MAX_KEYS:
        raise walk.invalid(f"{keys} keys, and at most {_MAX_KEYS} are read")
    metadata: dict[str, Any] = {}
    for _ in range(keys):
        key = walk.text("a key")
        if key in metadata:
            raise walk.invalid(f"key {brief(key)} stands twice")
        metadata[key] = walk.value(key, walk.number("I"))
    alignment = metadata.get("general.alignment", _ALIGNMENT)
    if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
        raise walk.invalid(f"general.alignment is {brief(alignment)}, expected a power of two")
    entries = _entries(walk, tensors)
    return Header(metadata, entries, alignment, aligned(walk.position, alignment))


def aligned(position: int, alignment: int) -> int:
    """The first multiple of `alignment` from `position` on.

    >>> aligned(33, 32)
    64
    """
    return -(-position // alignment) * alignment


def _entries(walk: _Walk, count: int) -> tuple[Entry, ...]:
    found: dict[str, Entry] = {}
    for _ in range(count):
        name = walk.text("a tensor's name")
        if name in found:
            raise CheckpointError(walk.path, "invalid header: stands twice", tensor=name)
        axes = walk.number("I")
        if axes > _MAX_AXES:
            what = f"invalid header: {axes} axes, and GGUF has at most {_MAX_AXES}"
            raise CheckpointError(walk.path, what, tensor=name)
        shape = tuple(walk.number("Q") for _ in range(axes))[::-1]
        if max((math.prod(shape), *shape)) > MAX_ELEMENTS:
            what = f"shape {brief(shape)} overflows: more than 2^62"
            raise CheckpointError(walk.path, what, tensor=name)
        found[name] = Entry(name, shape, walk.number("I"), walk.number("Q"))
    return tuple(found.values())


class _Walk:
    """The bytes of a header from front to back, through a window."""

    def __init__(self, descriptor: int, size: int, path: Path) -> None:
        self.path, self.position = path, 0
        self._descriptor, self._size = descriptor, size
        self._window, self._start = b"", 0

    def invalid(self, what: str) -> CheckpointError:
        return CheckpointError(self.path, f"invalid header: {what}")

    def take(self, count: int) -> bytes:
        """The next bytes, as many as were asked for."""
        self._need(count)
        begin = self.position - self._start
        if begin + count > len(self._window):
            self._load(count)
            begin = 0
        self.position += count
        return self._window[begin : begin + count]

    def number(self, kind: str) -> Any:
        """The next number, of a `struct` kind."""
        layout = "<" + kind
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def count(self, least: int, what: str) -> int:
        """A count of things that take `least` bytes or more each."""
        count: int = self.number("Q")
        left = min(self._size, MAX_HEADER_BYTES) - self.position
        if count * least > left:
            raise self.invalid(f"{count} {what} do not fit into the {left} bytes after it")
        return count

    def text(self, what: str) -> str:
        """A name: UTF-8, its length before it."""
        length = self.number("Q")
        if length > _MAX_TEXT:
            raise self.invalid(f"{what} of {length} bytes, and at most {_MAX_TEXT} are read")
        raw = self.take(length)
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise self.invalid(f"{what} is not UTF-8 ({error.reason})") from error

    def value(self, key: str, kind: int) -> Any:
        """A value of the metadata; None where it is too long to be worth keeping."""
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind == _STRING:
            length = self.number("Q")
            if length <= _MAX_TEXT:
                return self.take(length).decode(errors="replace")
            self._skip(length)
            return None
        if kind != _ARRAY:
            raise self.invalid(f"key {brief(key)} has a value of type {kind}, expected 0 to 12")
        inner = self.number("I")
        if inner == _STRING:
            self._skip_texts(self.count(8, "texts"))
            return None
        if inner not in _NUMBERS:
            what = "arrays" if inner == _ARRAY else f"values of type {inner}"
            raise self.invalid(f"key {brief(key)} is an array of {what}, expected numbers or texts")
        width = struct.calcsize("<" + _NUMBERS[inner])
        count = self.count(width, "numbers")
        if count > _MAX_KEPT:
            self._skip(count * width)
            return None
        return struct.unpack(f"<{count}{_NUMBERS[inner]}", self.take(count * width))

    def _skip_texts(self, count: int) -> None:
        """Walk over texts: a tight loop, for a vocabulary has hundreds of thousands."""
        read = struct.Struct("<Q").unpack_from
        while count:
            self._need(8)
            if self.position + 8 > self._start + len(self._window):
                self._load(8)
            window, at = self._window, self.position - self._start
            last = len(window) - 8
            while count and at <= last:
                at += 8 + read(window, at)[0]
                count -= 1
            self._skip(self._start + at - self.position)

    def _skip(self, count: int) -> None:
        self._need(count)
        self.position += count

    def _need(self, count: int) -> None:
        end = self.position + count
        if end > self._size:
            raise CheckpointError(
                self.path, f"truncated: the header needs {end} bytes or more, has {self._size}"
            )
        if end > MAX_HEADER_BYTES:
            raise self.invalid(f"more than {MAX_HEADER_BYTES} bytes")

    def _load(self, least: int) -> None:
        """Read a window from here on, of `least` bytes or more."""
        window = bytearray(min(max(_WINDOW, least), self._size - self.position))
        read_exactly(self._descriptor, memoryview(window), self.position, self.path)
        self._window, self._start = bytes(window), self.position
