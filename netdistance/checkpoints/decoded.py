"""A checkpoint with its packed tensors decoded: the weights they mean, under the weights' names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import BLOCK_ELEMENTS, Checkpoint, TensorSpec
from netdistance.checkpoints.encodings import ENCODINGS
from netdistance.checkpoints.encodings.base import Encoded, Stored
from netdistance.errors import CheckpointError

# decoded at a time: 2 MiB of float32; 8 take half as long again, in memory and not in the cache
_TILE_ELEMENTS = 1 << 19


def decoded(file: Checkpoint, folder: Path | None = None) -> Checkpoint:
    """The checkpoint with every packed tensor that an encoding knows as one float32 tensor.

    The checkpoint itself where there is none. Nothing is read but, where an encoding asks for it,
    the configuration in `folder`.

    Raises:
        CheckpointError: that configuration is not JSON.
    """
    stored = Stored(file, folder)
    found: dict[str, Encoded] = {}
    used: set[str] = set()
    for encoding in ENCODINGS:
        for tensor in encoding.find(stored):
            if used.isdisjoint(tensor.parts):
                found[tensor.spec.name] = tensor
                used |= set(tensor.parts)
    return Decoded(file, found, _notes(found)) if found else file


class Decoded(Checkpoint):
    """A checkpoint in which some tensors are made of others."""

    def __init__(
        self, inner: Checkpoint, found: Mapping[str, Encoded], notes: Sequence[str] = ()
    ) -> None:
        """A tensor of `found` stands in the place of its first part, without parts at the end."""
        self._inner, self._found = inner, found
        self.path, self.format, self.nbytes = inner.path, inner.format, inner.nbytes
        self.notes = (*inner.notes, *notes)
        first = {tensor.parts[0]: tensor.spec for tensor in found.values() if tensor.parts}
        parts = {part for tensor in found.values() for part in tensor.parts}
        self.specs: Mapping[str, TensorSpec] = {
            spec.name: spec
            for name, own in inner.specs.items()
            if (spec := first.get(name, None if name in parts else own)) is not None
        } | {name: tensor.spec for name, tensor in found.items() if not tensor.parts}
        self.ties = {name: place for name, place in inner.ties.items() if name not in parts}

    def blocks(
        self, name: str, *, start: int = 0, stop: int | None = None, size: int = BLOCK_ELEMENTS
    ) -> Iterator[NDArray[Any]]:
        """As Checkpoint.blocks."""
        if name not in self._found:
            return self._inner.blocks(name, start=start, stop=stop, size=size)
        tensor = self._found[name]
        if tensor.rows is None:
            raise CheckpointError(self.path, str(tensor.spec.unreadable), tensor=name)
        elements = tensor.spec.elements
        return _blocks(tensor, start, elements if stop is None else min(stop, elements), size)

    def verify_unchanged(self) -> None:
        """As Checkpoint.verify_unchanged."""
        self._inner.verify_unchanged()

    def close(self) -> None:
        """Release the file."""
        self._inner.close()


def _blocks(tensor: Encoded, start: int, stop: int, size: int) -> Iterator[NDArray[np.float32]]:
    """Elements start:stop in blocks of `size`, of tiles of whole rows."""
    _keep_freed_memory()
    columns = tensor.width or max(1, math.prod(tensor.spec.shape[1:]))
    # small rows lie one after the other: a tile is a block, and stays in the cache
    rows = max(1, (size if tensor.width else _TILE_ELEMENTS) // columns)
    held = range(0)
    tile = np.empty(0, dtype=np.float32)
    for begin in range(start, stop, size):
        parts, end = [], min(begin + size, stop)
        while begin < end:
            if begin not in held:
                first = begin // columns
                last = min(first + rows, -(-stop // columns))
                tile = _tile(tensor, first, last)
                held = range(first * columns, last * columns)
            parts.append(tile[begin - held.start : end - held.start])
            begin += parts[-1].size
        yield parts[0] if len(parts) == 1 else np.concatenate(parts)


def _tile(tensor: Encoded, first: int, last: int) -> NDArray[np.float32]:
    assert tensor.rows is not None
    with np.errstate(all="ignore"):  # a scale may be infinite: the report counts such numbers
        return tensor.rows(first, last).reshape(-1)


@cache
def _keep_freed_memory() -> None:
    """Let glibc use the memory of one tile again for the next: fresh pages take longer to get.

    It gives freed blocks back to the system above a size that rises, up to 32 MiB, to that of the
    largest freed so far (mallopt(3), M_MMAP_THRESHOLD). Nothing is written here, so no page is had.
    """
    np.empty((1 << 25) - (1 << 13), dtype=np.uint8)


def _notes(found: Mapping[str, Encoded]) -> list[str]:
    """How many tensors are stored in which way, and how they are decoded."""
    ways = Counter((t.spec.encoding, t.spec.decoding) for t in found.values() if t.rows)
    return [f"{n:,} stored as {label}, decoded as {how}" for (label, how), n in ways.items()]
