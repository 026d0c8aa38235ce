"""What every checkpoint format offers: names, shapes, and blocks of numbers."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.dtypes import BY_NAME, DType
from netdistance.checkpoints.ties import NO_TIES, Ties
from netdistance.errors import CheckpointError

# 2^18 elements: large enough that numpy's per-call cost vanishes, small enough for the L2 cache
BLOCK_ELEMENTS = 1 << 18
# a header that claims more is not believed: beyond it sizes in bytes overflow 64 bits
MAX_ELEMENTS = 1 << 62
_MAX_AXES = 64  # of a numpy array


def brief(value: object) -> str:
    """How a value is shown in an error: at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What the header says of one tensor; nothing of its data has been read.

    `encoding` is how it is stored: an element type, or what an encoding calls itself. Then
    `decoding` is how its numbers are had, and `values` the element type that holds them.
    """

    name: str
    shape: tuple[int, ...]
    encoding: str
    nbytes: int
    unreadable: str | None = None  # why its numbers cannot be had, where they cannot
    decoding: str | None = None
    values: str | None = None  # None: `encoding` is an element type itself

    @property
    def elements(self) -> int:
        """How many numbers it holds: 1 for a scalar, 0 where a dimension is 0."""
        return math.prod(self.shape)

    @property
    def is_weight(self) -> bool:
        """Whether deep relative trust counts it: floating point, with two or more axes."""
        known = BY_NAME.get(self.values or self.encoding)
        return len(self.shape) >= 2 and known is not None and known.kind == "float"

    @property
    def dtype(self) -> DType:
        """The element type of its numbers."""
        return BY_NAME[self.values or self.encoding]


class Checkpoint(ABC):
    """Named tensors in a file, read block by block. Use it as a context manager.

    `specs` are in the order of the file. `notes` are remarks that a reader of the report should
    see, such as which wrapper was opened. `nbytes` is the size of the file or files, and of the
    tensors where there is no file. `ties` has the places of tensors that share memory, as
    `checkpoints.ties`; formats without sharing have none.
    """

    path: Path
    format: str
    specs: Mapping[str, TensorSpec]
    notes: tuple[str, ...]
    nbytes: int
    ties: Ties = NO_TIES

    @abstractmethod
    def blocks(
        self, name: str, *, start: int = 0, stop: int | None = None, size: int = BLOCK_ELEMENTS
    ) -> Iterator[NDArray[Any]]:
        """The elements start:stop of a tensor in row-major order, as 1-D arrays of `size` or fewer.

        An array is valid until the next is asked for: its buffer is reused.

        Raises:
            CheckpointError: the file is shorter than its header says, or cannot be read.
        """

    def tile(
        self, name: str, rows: slice, columns: slice, *, width: int | None = None
    ) -> NDArray[Any]:
        """A rectangle of a matrix, as a new array; both slices have a start and a stop.

        `width` is the length of a row where the tensor is seen as a matrix of another shape.

        Packed formats hold an output's numbers down a column: reading the tensor whole would take
        memory that grows with it.

        Raises:
            CheckpointError: as `blocks`.
        """
        width = self.specs[name].shape[1] if width is None else width
        begins = [row * width + columns.start for row in range(rows.start, rows.stop)]
        spans = [(begin, begin + columns.stop - columns.start) for begin in begins]
        if columns.stop - columns.start == width:
            spans = [(rows.start * width, rows.stop * width)]
        parts = [block.copy() for a, b in spans for block in self.blocks(name, start=a, stop=b)]
        flat = np.concatenate(parts) if parts else np.empty(0, dtype=np.uint8)
        return flat.reshape(rows.stop - rows.start, columns.stop - columns.start)

    def scaled_tile(
        self, name: str, rows: slice, columns: slice, factors: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """A rectangle as `tile`, in float32 and times factors that broadcast to it.

        Codes of few bits are scaled while they are decoded where a format can.

        Raises:
            CheckpointError: as `blocks`.
        """
        values: NDArray[np.float32] = self.tile(name, rows, columns) * factors
        return values

    @abstractmethod
    def verify_unchanged(self) -> None:
        """Check that the file is what it was when it was opened.

        Raises:
            CheckpointError: its size, modification time or inode changed while it was read.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the file."""

    def read(self, name: str) -> NDArray[Any]:
        """A whole tensor in its own shape, as a new array.

        Raises:
            CheckpointError: as `blocks`, or numpy has no array of this shape.
        """
        spec = self.specs[name]
        if len(spec.shape) > _MAX_AXES:
            what = f"has {len(spec.shape)} axes, and an array has at most {_MAX_AXES}"
            raise CheckpointError(self.path, what, tensor=name)
        parts = [block.copy() for block in self.blocks(name)]
        if not parts and spec.dtype.decode is not None:  # empty, and still of its own type
            parts = [spec.dtype.decode(np.empty(0, dtype=np.uint8))]
        try:
            return np.concatenate(parts).reshape(spec.shape)
        except ValueError as error:  # an empty tensor can have axes whose product overflows
            what = f"no array has shape {brief(spec.shape)} ({error})"
            raise CheckpointError(self.path, what, tensor=name) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class FileState:
    """The facts that change when a file is written to while we read it."""

    nbytes: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, descriptor: int) -> FileState:
        """The state of an open file."""
        status = os.fstat(descriptor)
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)

    def require_same(self, descriptor: int, path: Path) -> None:
        """Raise CheckpointError unless the open file still is in this state."""
        if FileState.of(descriptor) != self:
            raise CheckpointError(path, "changed while being read; run again once it is complete")


def read_exactly(descriptor: int, buffer: memoryview, offset: int, path: Path) -> None:
    """Fill `buffer` from `offset`: the one place where bytes of a checkpoint are read.

    Raises:
        CheckpointError: the file ended early or the system reports a read error.
    """
    done = 0
    while done < len(buffer):
        try:
            count = os.preadv(descriptor, [buffer[done:]], offset + done)
        except OSError as error:
            raise CheckpointError(path, f"cannot be read: {error.strerror}") from error
        if count == 0:
            raise CheckpointError(path, "changed while being read: it became shorter")
        done += count
