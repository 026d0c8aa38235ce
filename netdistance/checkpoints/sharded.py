"""A model in several files: the `weight_map` of a Hugging Face `*.index.json` says what is where.

An index comes with a download, so what it names stays in its folder: no absolute path, no "..", no
link that leads out, but for the cache's own, where `snapshots/REVISION/NAME` leads to `blobs/`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import BLOCK_ELEMENTS, Checkpoint, FileState, TensorSpec
from netdistance.checkpoints.json_text import json_object
from netdistance.checkpoints.safetensors_file import MAX_HEADER_BYTES
from netdistance.errors import CheckpointError

_SHOWN = 100  # names in one error line


class ShardedCheckpoint(Checkpoint):
    """An index and its shards, all of them open: names are read from where the index says."""

    def __init__(self, path: Path, open_shard: Callable[[Path], Checkpoint]) -> None:
        """Open and validate. Raises CheckpointError where the index and the shards disagree."""
        self.path = path
        self._shards: dict[str, Checkpoint] = {}
        self._index = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with ExitStack() as undo:
            undo.callback(self.close)
            self._state = FileState.of(self._index)
            self._shard_of = _weight_map(self._read_index(), path)
            for name, file in _files(path, sorted(set(self._shard_of.values()))).items():
                self._shards[name] = open_shard(file)
            self._require_agreement()
            undo.pop_all()
        shards = self._shards
        self.specs: Mapping[str, TensorSpec] = {
            name: shards[shard].specs[name] for name, shard in self._shard_of.items()
        }
        kinds = dict.fromkeys(shard.format for shard in shards.values())
        self.format = f"sharded {' and '.join(kinds)}".rstrip()
        self.nbytes = self._state.nbytes + sum(shard.nbytes for shard in shards.values())
        self.notes = tuple(f"{name}: {n}" for name, shard in shards.items() for n in shard.notes)
        self.ties = {a: b for shard in shards.values() for a, b in shard.ties.items()}

    def _read_index(self) -> bytes:
        size = self._state.nbytes
        if size > MAX_HEADER_BYTES:
            raise CheckpointError(
                self.path, f"invalid index: {size} bytes, and at most {MAX_HEADER_BYTES} are read"
            )
        try:
            return os.pread(self._index, size, 0)
        except OSError as error:
            raise CheckpointError(self.path, f"cannot be read: {error.strerror}") from error

    def _require_agreement(self) -> None:
        """Every name in the one shard that the index says, and nothing beside."""
        holder: dict[str, str] = {}
        for shard, checkpoint in self._shards.items():
            for name in checkpoint.specs:
                if name in holder:
                    what = f"stands in two shards, {holder[name]} and {shard}"
                    raise CheckpointError(self.path, what, tensor=name)
                holder[name] = shard
        for name, shard in self._shard_of.items():
            if holder.get(name) != shard:
                found = f"it is in {holder[name]}" if name in holder else "no shard has it"
                what = f"is not in its shard: the index says {shard}, {found}"
                raise CheckpointError(self.path, what, tensor=name)
        for name in holder.keys() - self._shard_of.keys():
            what = f"stands in {holder[name]} and not in the index"
            raise CheckpointError(self.path, what, tensor=name)

    def blocks(
        self, name: str, *, start: int = 0, stop: int | None = None, size: int = BLOCK_ELEMENTS
    ) -> Iterator[NDArray[Any]]:
        """As Checkpoint.blocks, from the shard that holds the tensor."""
        return self._shard(name).blocks(name, start=start, stop=stop, size=size)

    def tile(
        self, name: str, rows: slice, columns: slice, *, width: int | None = None
    ) -> NDArray[Any]:
        """As Checkpoint.tile, from the shard that holds the tensor."""
        return self._shard(name).tile(name, rows, columns, width=width)

    def scaled_tile(
        self, name: str, rows: slice, columns: slice, factors: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """As Checkpoint.scaled_tile, from the shard that holds the tensor."""
        return self._shard(name).scaled_tile(name, rows, columns, factors)

    def _shard(self, name: str) -> Checkpoint:
        if not self._shards:
            raise CheckpointError(self.path, "is closed", tensor=name)
        return self._shards[self._shard_of[name]]

    def read(self, name: str) -> NDArray[np.generic]:
        """As Checkpoint.read; an error names the shard."""
        if not self._shards:
            raise CheckpointError(self.path, "is closed", tensor=name)
        return self._shards[self._shard_of[name]].read(name)

    def verify_unchanged(self) -> None:
        """As Checkpoint.verify_unchanged, for the index and every shard."""
        self._state.require_same(self._index, self.path)
        for shard in self._shards.values():
            shard.verify_unchanged()

    def close(self) -> None:
        """Close every shard; a second call does nothing."""
        for shard in self._shards.values():
            shard.close()
        self._shards = {}
        if self._index >= 0:
            os.close(self._index)
            self._index = -1


def is_index(head: bytes, path: Path) -> bool:
    """Whether a file is JSON text: a safetensors header length always has zero bytes."""
    return head.lstrip()[:1] == b"{" and b"\0" not in head[:8]


def _weight_map(raw: bytes, path: Path) -> dict[str, str]:
    index = json_object(raw, path, "invalid index")
    found = index.get("weight_map")
    if not isinstance(found, dict):
        raise CheckpointError(path, "JSON without a weight_map: expected an index of shards")
    for name, shard in found.items():
        problem = _name_problem(shard)
        if problem is not None:
            raise CheckpointError(path, f"invalid index: shard {shard!r} {problem}", tensor=name)
    return found


def _name_problem(shard: object) -> str | None:
    """Why a shard's name is refused before anything is looked up."""
    if not isinstance(shard, str) or not shard or "\0" in shard or not _is_text(shard):
        return "is no file name"
    if PurePosixPath(shard).is_absolute():
        return "is an absolute path, expected a name in this folder"
    if ".." in PurePosixPath(shard).parts:
        return "leads out of the folder"
    return None


def _is_text(name: str) -> bool:
    try:
        name.encode()  # a lone surrogate is no text
    except UnicodeEncodeError:
        return False
    return True


def _files(index: Path, shards: list[str]) -> dict[str, Path]:
    """Where each shard lies; every absent one is named at once."""
    folder = index.parent
    roots = _allowed_roots(folder)
    for shard in shards:
        if not any(_resolved(folder / shard, index).is_relative_to(root) for root in roots):
            raise CheckpointError(index, f"shard {shard!r} is a link that leads out of the folder")
    absent = [shard for shard in shards if not (folder / shard).exists()]
    if absent:
        more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
        raise CheckpointError(
            index,
            f"{len(absent)} of {len(shards)} shards are missing: "
            f"{', '.join(absent[:_SHOWN])}{more}; download them into {folder}",
        )
    return {shard: folder / shard for shard in shards}


def _resolved(path: Path, index: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # a link to itself
        raise CheckpointError(index, f"{path.name}: {error}") from error


def _allowed_roots(folder: Path) -> list[Path]:
    """The folder, and the blobs of the Hugging Face cache that it is a snapshot of."""
    real = folder.resolve()
    snapshots = [parent for parent in real.parents if parent.name == "snapshots"]
    return [real, *(parent.parent / "blobs" for parent in snapshots)]
