"""A checkpoint with its packed tensors decoded: the weights they mean, under the weights' names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from netdistance.checkpoints.base import BLOCK_ELEMENTS, Checkpoint, TensorSpec
from netdistance.checkpoints.encodings import ENCODINGS
from netdistance.checkpoints.encodings.base import Encoded, Stored
from netdistance.checkpoints.row_blocks import row_blocks
from netdistance.errors import CheckpointError


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
    return _Decoded(file, found) if found else file


class _Decoded(Checkpoint):
    def __init__(self, inner: Checkpoint, found: Mapping[str, Encoded]) -> None:
        self._inner, self._found = inner, found
        self.path, self.format, self.nbytes = inner.path, inner.format, inner.nbytes
        self.notes = (*inner.notes, *_notes(found))
        first = {tensor.parts[0]: tensor.spec for tensor in found.values()}
        parts = {part for tensor in found.values() for part in tensor.parts}
        self.specs: Mapping[str, TensorSpec] = {
            spec.name: spec
            for name, own in inner.specs.items()
            if (spec := first.get(name, None if name in parts else own)) is not None
        }
        self.ties = {name: place for name, place in inner.ties.items() if name not in parts}

    def blocks(
        self, name: str, *, start: int = 0, stop: int | None = None, size: int = BLOCK_ELEMENTS
    ) -> Iterator[NDArray[Any]]:
        if name not in self._found:
            return self._inner.blocks(name, start=start, stop=stop, size=size)
        tensor = self._found[name]
        if tensor.rows is None:
            raise CheckpointError(self.path, str(tensor.spec.unreadable), tensor=name)
        elements = tensor.spec.elements
        columns = max(1, math.prod(tensor.spec.shape[1:]))
        stop = elements if stop is None else min(stop, elements)
        return row_blocks(tensor.rows, columns, start, stop, size)

    def tile(self, name: str, rows: slice, columns: slice) -> NDArray[Any]:
        if name in self._found:
            return super().tile(name, rows, columns)
        return self._inner.tile(name, rows, columns)

    def verify_unchanged(self) -> None:
        self._inner.verify_unchanged()

    def close(self) -> None:
        self._inner.close()


def _notes(found: Mapping[str, Encoded]) -> list[str]:
    """How many tensors are stored in which way, and how they are decoded."""
    ways = Counter((t.spec.encoding, t.spec.decoding) for t in found.values())
    return [f"{n:,} stored as {label}, decoded as {how}" for (label, how), n in ways.items()]
