"""The safetensors format by our own reader: a validated header, then blocks by `os.preadv`.

Why not the library: its numpy side cannot open bfloat16 or 8-bit floats, it accepts a duplicate
key, and it maps the file, so that a file truncated while it is read kills the process with SIGBUS.
The rules are those of the published format (https://github.com/huggingface/safetensors).
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import (
    BLOCK_ELEMENTS,
    MAX_ELEMENTS,
    Checkpoint,
    FileState,
    TensorSpec,
    brief,
    read_exactly,
)
from netdistance.checkpoints.dtypes import BY_NAME
from netdistance.checkpoints.json_text import json_object
from netdistance.errors import CheckpointError

# the limit of the reference implementation; a larger header is an attack or not a header
MAX_HEADER_BYTES = 100_000_000
# a call that reads takes 2 us, in which 8 KiB are copied: rows below are read with what is beside
_LEAST_READ, _ROWS_BUFFER = 1 << 13, 1 << 20


class SafetensorsCheckpoint(Checkpoint):
    """A single safetensors file. Opening reads and validates the header, nothing else."""

    format = "safetensors"

    def __init__(self, path: Path) -> None:
        """Open and validate. Raises CheckpointError where the header breaks a rule."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._state = FileState.of(self._descriptor)
            self.nbytes = self._state.nbytes
            header, self._data_start, self.notes = self._read_header()
            self._offsets: dict[str, int] = {}
            self.specs = self._validated(header)
        except BaseException:
            self.close()
            raise

    def _read_header(self) -> tuple[dict[str, Any], int, tuple[str, ...]]:
        size = self._state.nbytes
        if size < 8:
            raise CheckpointError(self.path, f"too short ({size} bytes): a header needs 8 or more")
        prefix = bytearray(8)
        read_exactly(self._descriptor, memoryview(prefix), 0, self.path)
        length = int.from_bytes(prefix, "little")
        if length > MAX_HEADER_BYTES:
            raise CheckpointError(
                self.path,
                f"not safetensors: its first 8 bytes promise a header of {length} bytes, "
                f"and at most {MAX_HEADER_BYTES} are allowed",
            )
        if 8 + length > size:
            raise CheckpointError(
                self.path, f"truncated: the header says {8 + length} bytes, the file has {size}"
            )
        raw = bytearray(length)
        read_exactly(self._descriptor, memoryview(raw), 8, self.path)
        header, notes = self._parsed(bytes(raw))
        return header, 8 + length, notes

    def _parsed(self, raw: bytes) -> tuple[dict[str, Any], tuple[str, ...]]:
        header = json_object(raw, self.path, "invalid header")
        if raw[:1] != b"{":
            return header, ("the header begins with white space, which the format forbids",)
        return header, ()

    def _validated(self, header: dict[str, Any]) -> dict[str, TensorSpec]:
        metadata = header.pop("__metadata__", None)
        if metadata is not None and not _is_string_map(metadata):
            raise CheckpointError(self.path, "invalid header: __metadata__ must map text to text")
        specs: dict[str, TensorSpec] = {}
        for name, entry in header.items():
            spec, offset = self._entry(name, entry)
            specs[name], self._offsets[name] = spec, offset
        self._require_contiguous(specs)
        return specs

    def _entry(self, name: str, entry: object) -> tuple[TensorSpec, int]:
        def invalid(what: str) -> CheckpointError:
            return CheckpointError(self.path, what, tensor=name)

        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise invalid("invalid header entry: expected dtype, shape and data_offsets")
        dtype = BY_NAME.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
        if dtype is None:
            raise invalid(f"unknown dtype {entry['dtype']!r}; known: {', '.join(BY_NAME)}")
        shape, offsets = entry["shape"], entry["data_offsets"]
        if not _is_size_list(shape):
            raise invalid(f"shape is {brief(shape)}, expected a list of sizes >= 0")
        if not _is_size_list(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
            raise invalid(f"data_offsets are {brief(offsets)}, expected [begin, end]")
        elements, stored = math.prod(shape), offsets[1] - offsets[0]
        if max((elements, *shape)) > MAX_ELEMENTS:  # a huge dimension can stand beside a 0
            raise invalid(f"shape {brief(shape)} overflows: more than 2^62")
        if elements * dtype.bits != 8 * stored:
            raise invalid(
                f"shape {brief(shape)} of {dtype.name} needs {elements * dtype.bits / 8:g} bytes, "
                f"its data_offsets hold {stored}"
            )
        unreadable = None if dtype.decode else f"{dtype.name} has no decoder"
        return TensorSpec(name, tuple(shape), dtype.name, stored, unreadable), offsets[0]

    def _require_contiguous(self, specs: dict[str, TensorSpec]) -> None:
        """The data are covered without hole or overlap, to the last byte of the file."""
        position = 0
        for name in sorted(specs, key=lambda n: (self._offsets[n], specs[n].nbytes)):
            if self._offsets[name] != position:
                what = "overlaps" if self._offsets[name] < position else "leaves a hole after"
                raise CheckpointError(
                    self.path,
                    f"invalid header: begins at byte {self._offsets[name]}, expected {position}: "
                    f"it {what} the data before it",
                    tensor=name,
                )
            position += specs[name].nbytes
        needs, has = self._data_start + position, self._state.nbytes
        if needs > has:
            raise CheckpointError(self.path, f"truncated: needs {needs} bytes, has {has}")
        if needs < has:
            raise CheckpointError(
                self.path, f"{has - needs} bytes after the last tensor: expected {needs}, has {has}"
            )

    def blocks(
        self, name: str, *, start: int = 0, stop: int | None = None, size: int = BLOCK_ELEMENTS
    ) -> Iterator[NDArray[Any]]:
        """As Checkpoint.blocks; `start` must be even for 4-bit types, which share bytes."""
        spec = self.specs[name]
        dtype = spec.dtype
        if dtype.decode is None:
            raise CheckpointError(self.path, str(spec.unreadable), tensor=name)
        stop = spec.elements if stop is None else min(stop, spec.elements)
        base = self._data_start + self._offsets[name]
        buffer = np.empty(min(size, max(stop - start, 0)) * dtype.bits // 8, dtype=np.uint8)
        for begin in range(start, stop, size):
            raw = buffer[: (min(begin + size, stop) - begin) * dtype.bits // 8]
            offset = base + begin * dtype.bits // 8
            read_exactly(self._descriptor, raw.data, offset, self.path)
            yield dtype.decode(raw)

    def tile(
        self, name: str, rows: slice, columns: slice, *, width: int | None = None
    ) -> NDArray[Any]:
        """As Checkpoint.tile, one read for each row where they are long and not wanted whole."""
        spec = self.specs[name]
        width = spec.shape[1] if width is None else width
        if spec.dtype.decode is None or spec.dtype.bits < 8:  # 4-bit types share bytes
            return super().tile(name, rows, columns, width=width)
        raw = self._rectangle(name, rows, columns, width)
        return spec.dtype.decode(raw.reshape(-1)).reshape(len(raw), columns.stop - columns.start)

    def scaled_tile(
        self, name: str, rows: slice, columns: slice, factors: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """As Checkpoint.scaled_tile."""
        spec = self.specs[name]
        if spec.dtype.scaled is None:
            return super().scaled_tile(name, rows, columns, factors)
        return spec.dtype.scaled(self._rectangle(name, rows, columns, spec.shape[1]), factors)

    def _rectangle(self, name: str, rows: slice, columns: slice, width: int) -> NDArray[np.uint8]:
        """The bytes of a rectangle of rows of `width`, as (rows, bytes)."""
        item = self.specs[name].dtype.bits // 8
        tall, wide, stride = rows.stop - rows.start, columns.stop - columns.start, width * item
        raw = np.empty((tall, wide * item), dtype=np.uint8)
        at = self._data_start + self._offsets[name] + rows.start * stride
        if stride <= _LEAST_READ or wide == width:
            self._read_whole_rows(raw, at, stride, columns.start * item)
        else:
            for number, piece in enumerate(raw):
                offset = at + number * stride + columns.start * item
                read_exactly(self._descriptor, piece.data, offset, self.path)
        return raw

    def _read_whole_rows(self, raw: NDArray[np.uint8], at: int, stride: int, left: int) -> None:
        """Rows of `stride` bytes from `at` on, of which `raw` gets what begins at byte `left`."""
        if raw.shape[1] == stride:
            return read_exactly(self._descriptor, raw.reshape(-1).data, at, self.path)
        step = _ROWS_BUFFER // max(1, stride)
        buffer = np.empty((min(step, len(raw)), stride), dtype=np.uint8)
        for first in range(0, len(raw), step):
            part = buffer[: len(raw) - first]
            offset = at + first * stride
            read_exactly(self._descriptor, part.reshape(-1).data, offset, self.path)
            raw[first : first + step] = part[:, left : left + raw.shape[1]]

    def verify_unchanged(self) -> None:
        """As Checkpoint.verify_unchanged."""
        self._state.require_same(self._descriptor, self.path)

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _is_string_map(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(v, str) for v in value.values())


def _is_size_list(value: object) -> bool:
    # bool is an int in Python, and true is no size
    return isinstance(value, list) and all(type(v) is int and v >= 0 for v in value)
