"""Which format a file is in, by its content and not by its suffix."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdistance.checkpoints.adapter_config import WEIGHTS, is_adapter
from netdistance.checkpoints.base import Checkpoint
from netdistance.checkpoints.decoded import decoded
from netdistance.checkpoints.folder import beside, checkpoint_in
from netdistance.checkpoints.gguf_file import GgufCheckpoint
from netdistance.checkpoints.hub import from_hub, is_hub_id
from netdistance.checkpoints.npz import NpzCheckpoint, is_npz
from netdistance.checkpoints.safetensors_file import SafetensorsCheckpoint
from netdistance.checkpoints.sharded import ShardedCheckpoint, is_index
from netdistance.errors import CheckpointError

if TYPE_CHECKING:
    from torch import nn

    # a file, a model folder, a module, or names to tensors or numpy arrays
    Source = str | os.PathLike[str] | Mapping[str, Any] | nn.Module

_SNIFF_BYTES = 512
_TORCH_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt", ".th")


@dataclass(frozen=True, slots=True)
class Format:
    """A checkpoint format: how its first bytes look, how it is opened, how it is mostly called."""

    name: str
    matches: Callable[[bytes, Path], bool]
    open: Callable[[Path], Checkpoint]
    suffixes: tuple[str, ...]
    is_shard: bool = True  # whether an index may name it


def _open_torch(path: Path) -> Checkpoint:
    # torch costs a second and 220 MiB to import: only its own files pay for it
    from netdistance.checkpoints.torch_pickle import TorchCheckpoint

    return TorchCheckpoint(path)


def _open_torch_arrays(path: Path) -> Checkpoint:
    from netdistance.checkpoints.torch_pickle import TorchCheckpoint

    return TorchCheckpoint(path, unnamed=True)


def _open_index(path: Path) -> Checkpoint:
    return ShardedCheckpoint(path, _open_shard)


def _is_zip(head: bytes, path: Path) -> bool:
    return head[:4] == b"PK\x03\x04" and not _has_header_length(head)


def _is_pickle(head: bytes, path: Path) -> bool:
    # protocols 2 to 5 begin with 0x80 and their number
    protocol = head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    return protocol and not _has_header_length(head)


def _has_header_length(head: bytes) -> bool:
    # of safetensors: eight bytes, whose lower ones may look like any magic number, then JSON
    return head[4:8] == bytes(4) and head[8:9] in (b"{", b" ")


# safetensors has no magic number, so it stands last and its reader judges
FORMATS: tuple[Format, ...] = (
    Format("npz", is_npz, NpzCheckpoint, (".npz",), is_shard=False),
    Format("torch zip", _is_zip, _open_torch, _TORCH_SUFFIXES),
    Format("torch pickle", _is_pickle, _open_torch, _TORCH_SUFFIXES),
    Format("index of shards", is_index, _open_index, (".json",), is_shard=False),
    Format("gguf", lambda head, path: head[:4] == b"GGUF", GgufCheckpoint, (".gguf",), False),
    Format("safetensors", lambda head, path: True, SafetensorsCheckpoint, (".safetensors",)),
)
_SUFFIXES = tuple(dict.fromkeys(suffix for format_ in FORMATS for suffix in format_.suffixes))
_OF_WEIGHTS = tuple(suffix for suffix in _SUFFIXES if suffix != ".json")

_NOT_WEIGHTS = (
    (b"version https://git-lfs", "a git-LFS pointer, not weights; run git lfs pull"),
    (b"<!doctype html", "looks like an HTML page, not weights; download the file itself"),
    (b"<html", "looks like an HTML page, not weights; download the file itself"),
    (b"pk\x05\x06", "an empty archive, as numpy.savez writes of no arrays"),
    (b"\x93numpy", "a single .npy array without a name; save it with numpy.savez"),
)


def open_checkpoint(source: Source) -> Checkpoint:
    """A checkpoint, opened and validated, its tensors unread. Close it, or use `with`.

    Weights that are stored packed are seen decoded, under their own names (`checkpoints.decoded`).
    `source` is a file, a folder, a hub id, a module, or a mapping of names to tensors or arrays.

    Raises:
        CheckpointError: no such file, not a regular file, or not a checkpoint that can be read.
        TypeError: `source` is none of these.
    """
    if isinstance(source, str | os.PathLike):
        return _open_path(local_path(source))
    torch = sys.modules.get("torch")
    if isinstance(source, Mapping) or (torch is not None and isinstance(source, torch.nn.Module)):
        from netdistance.checkpoints.state_dict import StateDictCheckpoint

        return decoded(StateDictCheckpoint(source))
    kind = type(source).__name__
    raise TypeError(f"a checkpoint is a path, a module or a mapping of tensors, not a {kind}")


def open_arrays(path: Path) -> Checkpoint:
    """As open_checkpoint for a file of arrays: one that torch saved may hold one alone, called ''.

    Raises:
        CheckpointError: as open_checkpoint.
    """
    of_arrays = (
        replace(f, open=_open_torch_arrays) if f.open is _open_torch else f for f in FORMATS
    )
    return _open_file(path, tuple(of_arrays))


def local_path(source: str | os.PathLike[str]) -> Path:
    """Where a file, a folder or a Hugging Face hub id lies on this disk.

    Raises:
        CheckpointError: a hub id whose model cannot be had.
    """
    if is_hub_id(os.fspath(source), _SUFFIXES):
        return from_hub(os.fspath(source))
    return Path(source)


def is_adapter_alone(path: Path) -> bool:
    """Whether a path is a folder that holds an adapter.

    Raises:
        CheckpointError: it holds a whole model too, and either could be meant.
    """
    if not is_adapter(path):
        return False
    if others := beside(path, WEIGHTS, _OF_WEIGHTS):
        what = f"holds a LoRA adapter, and {others[0]} too: name that file, or keep them apart"
        raise CheckpointError(path, what)
    return True


def _open_path(path: Path) -> Checkpoint:
    if is_adapter_alone(path):
        what = "a LoRA adapter, which needs the base that it changes: give the base as a, this as b"
        raise CheckpointError(path, what)
    if os.path.isdir(path):  # which answers no where nothing can be asked
        path = checkpoint_in(path, _OF_WEIGHTS)
    file = _open_file(path, FORMATS)
    try:
        return decoded(file, path.parent)
    except BaseException:
        file.close()
        raise


def _open_shard(path: Path) -> Checkpoint:
    return _open_file(path, tuple(f for f in FORMATS if f.is_shard))


def _open_file(path: Path, formats: tuple[Format, ...]) -> Checkpoint:
    head = _first_bytes(path)
    for marker, what in _NOT_WEIGHTS:
        if head.lstrip().lower().startswith(marker):
            raise CheckpointError(path, what)
    chosen = next(f for f in formats if f.matches(head, path))
    try:
        checkpoint = chosen.open(path)
    except OSError as error:  # it was there a moment ago, or too many files are open
        raise CheckpointError(path, str(error.strerror or error).lower()) from error
    suffix = path.suffix.lower()
    if suffix in _SUFFIXES and suffix not in chosen.suffixes:
        checkpoint.notes += (f"named {suffix}, and by its content {chosen.name}",)
    return checkpoint


def _first_bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        # before opening: opening a FIFO would wait for a writer for ever
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise CheckpointError(path, f"{kind}, expected a checkpoint file")
        if status.st_size == 0:
            raise CheckpointError(path, "empty file (0 bytes)")
        with path.open("rb") as file:
            return file.read(_SNIFF_BYTES)
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CheckpointError(path, str(reason).lower()) from error
