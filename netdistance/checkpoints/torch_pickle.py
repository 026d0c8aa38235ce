"""PyTorch's own files (.pt, .pth, .bin, .ckpt, .th): the one place that unpickles.

Always `weights_only=True` and `map_location="cpu"`, and `mmap=True` where the file is a zip; a file
that needs more than that is refused, never opened another way.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from netdistance.checkpoints.base import BLOCK_ELEMENTS, Checkpoint, FileState, TensorSpec
from netdistance.checkpoints.dtypes import BY_NAME
from netdistance.checkpoints.ties import View, overlap_note, ties_of
from netdistance.checkpoints.wrappers import named_tensors, unwrap
from netdistance.errors import CheckpointError

# torch's name for an element type -> the safetensors name
_ENCODINGS = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
    torch.float8_e4m3fnuz: "F8_E4M3FNUZ", torch.float8_e5m2fnuz: "F8_E5M2FNUZ",
    torch.float8_e8m0fnu: "F8_E8M0",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8",
    torch.bool: "BOOL", torch.complex64: "C64", torch.complex128: "C128",
}  # fmt: skip


class TorchCheckpoint(Checkpoint):
    """A state dict that torch saved, unwrapped."""

    format = "torch"

    def __init__(self, path: Path, *, unnamed: bool = False) -> None:
        """Load with `weights_only=True`; where `unnamed`, one tensor alone is called ''.

        Raises:
            CheckpointError: torch refuses, or there is no state dict.
        """
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._state = FileState.of(self._descriptor)
            self.nbytes = self._state.nbytes
            records = _record_sizes(path)
            loaded = _load(path, self._descriptor, zipped=records is not None)
            alone = unnamed and isinstance(loaded, torch.Tensor)
            content, opened = unwrap({"": loaded} if alone else loaded, path)
            tensors, left_out = named_tensors(content, torch.Tensor, path)
            sizes = range(self.nbytes + 1) if records is None else records
            _require_stored(tensors, sizes, path)
            self._tensors, dequantised = _dequantised(tensors, path)
            views = views_of(self._tensors)
            self.ties = ties_of(views)
            overlaps = overlap_note(views, self.ties)
            self.notes = opened + left_out + dequantised + overlaps
            self.specs = {name: spec_of(name, value) for name, value in self._tensors.items()}
        except BaseException:
            self.close()
            raise

    def blocks(
        self, name: str, *, start: int = 0, stop: int | None = None, size: int = BLOCK_ELEMENTS
    ) -> Iterator[NDArray[Any]]:
        """As Checkpoint.blocks."""
        blocks = tensor_blocks(self.specs[name], self._tensors, self.path, start, stop, size)
        while True:
            self._require_long_enough()
            block = next(blocks, None)
            if block is None:
                return
            yield block

    def _require_long_enough(self) -> None:
        """Before a page of the map is touched: one that was cut off kills the process."""
        if self._descriptor < 0:
            raise CheckpointError(self.path, "is closed")
        if FileState.of(self._descriptor).nbytes < self._state.nbytes:
            raise CheckpointError(self.path, "changed while being read: it became shorter")

    def verify_unchanged(self) -> None:
        """As Checkpoint.verify_unchanged."""
        self._state.require_same(self._descriptor, self.path)

    def close(self) -> None:
        """Close the descriptor and let the tensors go; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._tensors = {}


def _load(path: Path, descriptor: int, *, zipped: bool) -> Any:
    if not zipped and os.pread(descriptor, 2, 0) == b"PK":
        raise CheckpointError(path, "truncated: a zip archive without the directory at its end")
    # by descriptor: torch takes what is called .safetensors for that, and this file is not replaced
    opened = f"/dev/fd/{descriptor}"
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # torch warns of pickles that it then refuses
            return torch.load(opened, map_location="cpu", weights_only=True, mmap=zipped or None)  # noqa: TID251
    except MemoryError as error:
        raise CheckpointError(path, "asks for more memory than there is") from error
    except Exception as error:  # torch raises a dozen classes here, none of them a contract
        raise CheckpointError(path, _refusal(error)) from error


def _record_sizes(path: Path) -> frozenset[int] | None:
    """How long the entries of a zip are, None of no zip.

    Raises:
        CheckpointError: TorchScript, or compression, which torch.save never uses.
    """
    try:
        if not zipfile.is_zipfile(path):
            return None
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except Exception as error:  # zipfile raises half a dozen classes at a damaged directory
        raise CheckpointError(path, f"not a readable zip archive ({error})") from error
    if any(entry.filename.endswith("constants.pkl") for entry in entries):
        raise CheckpointError(path, "a TorchScript archive; save its state_dict() instead")
    packed = [entry for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise CheckpointError(
            path, f"compressed entry {packed[0].filename!r}: torch.save never compresses; not read"
        )
    return frozenset(entry.file_size for entry in entries)


def _require_stored(tensors: Mapping[str, torch.Tensor], sizes: Container[int], path: Path) -> None:
    """Refuse a storage of a size that the file cannot hold.

    torch maps a storage of a zip without asking how long its entry is, and builds one of any size
    where a pickle calls for a tensor without data.
    """
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_meta:
            continue
        claimed = tensor.untyped_storage().nbytes()
        if claimed not in sizes:
            what = f"its storage claims {claimed} bytes, and nothing in the file is as long"
            raise CheckpointError(path, what, tensor=name)


def _refusal(error: Exception) -> str:
    """One line for what torch says in many."""
    text = str(error)
    if isinstance(error, pickle.UnpicklingError):
        found = re.search(r"GLOBAL (\S+)", text)
        if found is None:
            return (
                "refused: not a pickle of tensors alone, as torch.save(model.state_dict()) writes"
            )
        return (
            f"refused: unpickling it needs {found[1]}, which could run code; "
            "save its tensors alone, with torch.save(model.state_dict(), ...) or safetensors"
        )
    wanted = re.search(r"you tried to allocate (\d+) bytes", text)
    if wanted is not None:
        return f"asks for {wanted[1]} bytes at once, more memory than there is"
    first = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    return f"not a readable torch file ({first[:160]})"


def _dequantised(
    tensors: dict[str, torch.Tensor], path: Path
) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """The tensors, those of torch's quantised types by what they stand for, and a note of them."""
    names = [name for name, tensor in tensors.items() if tensor.is_quantized]
    if not names:
        return tensors, ()
    try:
        values = {name: tensors[name].dequantize() for name in names}
    except RuntimeError as error:  # scales or zero points that do not fit the tensor
        raise CheckpointError(path, f"a quantised tensor cannot be read ({error})") from error
    return tensors | values, (f"quantised tensors are read by value: {', '.join(names)}",)


def spec_of(name: str, tensor: torch.Tensor) -> TensorSpec:
    """What a tensor is, and why its numbers cannot be had, where they cannot."""
    encoding = _ENCODINGS.get(tensor.dtype, str(tensor.dtype).removeprefix("torch."))
    reason: str | None = None
    if encoding not in BY_NAME:
        reason = f"{encoding} has no decoder"
    elif tensor.is_meta:
        reason = "has no data (a meta tensor)"
    elif tensor.layout != torch.strided:
        reason = f"{tensor.layout} is not read; save it dense"
    elif tensor.numel() * tensor.element_size() > 4 * tensor.untyped_storage().nbytes() + 64:
        reason = "claims more elements than it stores (an expanded tensor)"
    nbytes = 0 if reason else tensor.numel() * tensor.element_size()
    return TensorSpec(name, tuple(tensor.shape), encoding, nbytes, reason)


def tensor_blocks(
    spec: TensorSpec,
    tensors: Mapping[str, torch.Tensor],
    path: Path,
    start: int,
    stop: int | None,
    size: int,
) -> Iterator[NDArray[Any]]:
    """The elements start:stop of a tensor in row-major order, from any device."""
    if spec.unreadable is not None or spec.dtype.decode is None:
        raise CheckpointError(path, str(spec.unreadable), tensor=spec.name)
    flat = tensors[spec.name].detach().resolve_conj().resolve_neg().reshape(-1)
    stop = spec.elements if stop is None else min(stop, spec.elements)
    for begin in range(start, stop, size):
        raw = flat[begin : min(begin + size, stop)].view(torch.uint8).cpu().numpy()
        # a legacy file's storage may start at any byte, and decoding views wider words
        yield spec.dtype.decode(np.require(raw, requirements=["C", "A"]))


def views_of(tensors: Mapping[str, torch.Tensor]) -> list[View]:
    """Where the elements of strided tensors are; a subclass may have no storage of its own."""
    views = []
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_meta:
            continue
        item = tensor.element_size()
        with contextlib.suppress(RuntimeError):
            storage = tensor.untyped_storage().data_ptr()
            address = storage + int(tensor.storage_offset()) * item
            strides = tuple(int(step) * item for step in tensor.stride())
            kind = tensor.dtype, tensor.is_conj(), tensor.is_neg()
            shape = tuple(tensor.shape)
            views.append(View(name, address, shape, strides, item, kind, tensor.device))
    return views
