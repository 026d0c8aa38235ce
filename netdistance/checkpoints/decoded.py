"""A checkpoint with its packed tensors decoded: the weights they mean, under the weights' names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import BLOCK_ELEMENTS, Checkpoint, TensorSpec
from netdistance.checkpoints.encodings import ENCODINGS
from netdistance.checkpoints.encodings.base import Encoded, Stored
from netdistance.checkpoints.row_blocks import TILE_ELEMENTS, row_blocks
from netdistance.errors import CheckpointError


def decoded(file: Checkpoint, folder: Path | None = None) -> Checkpoint:
    """The checkpoint with every packed tensor that an encoding knows as one float32 tensor.

    The checkpoint itself where there is none. Nothing is read but, where an encoding asks for it,
    the configuration in `folder`.

    Raises:
        CheckpointError: that configuration is not JSON.
    """
    stored = Stored(file, folder)
    found = _found(stored)
    file.notes += _of_bare_codes(file, {part for t in found.values() for part in t.parts})
    return Decoded(file, found, _notes(found)) if found else file


def _found(stored: Stored) -> dict[str, Encoded]:
    """What encodings make of the file, by name; what could mean two things says so instead."""
    found: list[Encoded] = []
    owners: dict[str, int] = {}
    rivals: dict[int, str] = {}
    for tensor in (tensor for encoding in ENCODINGS for tensor in encoding.find(stored)):
        taken = {owners[part] for part in tensor.parts if part in owners}
        if not taken:
            owners.update(dict.fromkeys(tensor.parts, len(found)))
            found.append(tensor)
        elif tensor.rows is not None:
            rivals |= dict.fromkeys(taken, f"{tensor.parts[-1]!r} makes other numbers of it")
    for number, why in rivals.items():
        found[number] = _unclear(found[number], why)
    return _by_name(stored, found)


def _by_name(stored: Stored, found: Sequence[Encoded]) -> dict[str, Encoded]:
    """Each under a name of its own: its first part's where another has the one that it makes."""
    made = Counter(tensor.spec.name for tensor in found)
    named: dict[str, Encoded] = {}
    for tensor in found:
        name = tensor.spec.name
        if name in stored.specs and name not in tensor.parts:
            tensor = _unclear(tensor, f"{name!r} stands in the file beside it", tensor.parts[0])
        elif made[name] > 1:
            own = tensor.parts[0] if name in named else name
            tensor = _unclear(tensor, f"other tensors of the file make {name!r} too", own)
        named[tensor.spec.name] = tensor
    return named


def _unclear(tensor: Encoded, why: str, name: str | None = None) -> Encoded:
    """Not decoded, for its own reason where it has one."""
    why = tensor.spec.unreadable or why
    spec = replace(tensor.spec, name=name or tensor.spec.name, unreadable=why)
    return replace(tensor, spec=spec, rows=None)


def _of_bare_codes(file: Checkpoint, used: Set[str]) -> tuple[str, ...]:
    """What to say of 8-bit matrices called weights that no scale makes numbers of."""
    matrices = [n for n, spec in file.specs.items() if len(spec.shape) == 2 and n not in used]
    bare = [n for n in matrices if n.endswith("weight") and file.specs[n].encoding == "I8"]
    if not bare:
        return ()
    more = f" and {len(bare) - 1:,} more" if len(bare) > 1 else ""
    what = f"no scales in the file for the int8 of {bare[0]!r}{more}"
    return (f"{what}: codes are compared as integers, not as weights",)


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
        columns = tensor.width or max(1, math.prod(tensor.spec.shape[1:]))
        stop = elements if stop is None else min(stop, elements)
        # small rows lie one after the other: a tile is a block, and stays in the cache
        at_once = size if tensor.width else TILE_ELEMENTS
        rows = partial(_tile, tensor)
        return row_blocks(rows, columns, start, stop, size, tile_elements=at_once)

    def tile(
        self, name: str, rows: slice, columns: slice, *, width: int | None = None
    ) -> NDArray[Any]:
        """As Checkpoint.tile."""
        if name in self._found:
            return super().tile(name, rows, columns, width=width)
        return self._inner.tile(name, rows, columns, width=width)

    def verify_unchanged(self) -> None:
        """As Checkpoint.verify_unchanged."""
        self._inner.verify_unchanged()

    def close(self) -> None:
        """Release the file."""
        self._inner.close()


def _tile(tensor: Encoded, first: int, last: int) -> NDArray[np.float32]:
    assert tensor.rows is not None
    with np.errstate(all="ignore"):  # a scale may be infinite: the report counts such numbers
        return tensor.rows(first, last)


def _notes(found: Mapping[str, Encoded]) -> list[str]:
    """How many tensors are stored in which way, and how they are decoded."""
    ways = Counter((t.spec.encoding, t.spec.decoding) for t in found.values() if t.rows)
    return [f"{n:,} stored as {label}, decoded as {how}" for (label, how), n in ways.items()]
