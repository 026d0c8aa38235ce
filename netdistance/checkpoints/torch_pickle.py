"""PyTorch's own files (.pt, .pth, .bin, .ckpt, .th): the one place that unpickles.

Always `weights_only=True` and `map_location="cpu"`, and `mmap=True` where the file is a zip; a file
that needs more than that is refused, never opened another way.
"""

from __future__ import annotations

import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from netdistance.checkpoints.base import BLOCK_ELEMENTS, Checkpoint, FileState, TensorSpec
from netdistance.checkpoints.dtypes import BY_NAME
from netdistance.errors import CheckpointError

_MAX_WRAPPERS = 8
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model")
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

    def __init__(self, path: Path) -> None:
        """Load with `weights_only=True`. Raises CheckpointError where torch refuses."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._state = FileState.of(self._descriptor)
            content, notes = unwrap(_load(path, self._descriptor), path)
            self._tensors, left_out = _split(content)
            self.specs = {name: _spec(name, value) for name, value in self._tensors.items()}
        except BaseException:
            self.close()
            raise
        if left_out:
            notes += (f"entries that are not tensors were left out: {', '.join(left_out)}",)
        self.notes = notes

    def blocks(
        self, name: str, *, start: int = 0, stop: int | None = None, size: int = BLOCK_ELEMENTS
    ) -> Iterator[NDArray[Any]]:
        """As Checkpoint.blocks."""
        spec, tensor = self.specs[name], self._tensors[name]
        if spec.unreadable is not None or spec.dtype.decode is None:
            raise CheckpointError(self.path, str(spec.unreadable), tensor=name)
        flat = tensor.detach().resolve_conj().resolve_neg().reshape(-1)
        stop = spec.elements if stop is None else min(stop, spec.elements)
        for begin in range(start, stop, size):
            raw = flat[begin : min(begin + size, stop)].view(torch.uint8).numpy()
            # a legacy file's storage may start at any byte, and decoding views wider words
            yield spec.dtype.decode(np.require(raw, requirements=["C", "A"]))

    def verify_unchanged(self) -> None:
        """As Checkpoint.verify_unchanged."""
        self._state.require_same(self._descriptor, self.path)

    def close(self) -> None:
        """Close the descriptor and let the tensors go; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._tensors = {}


def _load(path: Path, descriptor: int) -> Any:
    zipped = zipfile.is_zipfile(path)
    if zipped:
        _require_plain_archive(path)
    elif os.pread(descriptor, 2, 0) == b"PK":
        raise CheckpointError(path, "truncated: a zip archive without the directory at its end")
    # by descriptor: torch takes what is called .safetensors for that, and this file is not replaced
    opened = f"/dev/fd/{descriptor}"
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # torch warns of pickles that it then refuses
            return torch.load(opened, map_location="cpu", weights_only=True, mmap=zipped or None)  # noqa: TID251
    except MemoryError:
        raise
    except Exception as error:  # torch raises a dozen classes here, none of them a contract
        raise CheckpointError(path, _refusal(error)) from error


def _require_plain_archive(path: Path) -> None:
    """Refuse TorchScript, and compressed entries: a bomb, and nothing that torch writes."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.filename.endswith("constants.pkl") for entry in entries):
        raise CheckpointError(path, "a TorchScript archive; save its state_dict() instead")
    packed = [entry for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise CheckpointError(
            path, f"compressed entry {packed[0].filename!r}: torch.save never compresses; not read"
        )


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
    first = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    return f"not a readable torch file ({first[:160]})"


def unwrap(content: Any, path: Path) -> tuple[Mapping[Any, Any], tuple[str, ...]]:
    """The mapping that holds the weights, and notes naming each wrapper that was opened.

    Raises:
        CheckpointError: there is no mapping inside.
    """
    opened: list[str] = []
    beside: list[str] = []
    while len(opened) < _MAX_WRAPPERS:  # a file can hold itself
        if isinstance(content, list | tuple) and len(content) == 1:
            content, step = content[0], "[0]"
        elif isinstance(content, Mapping) and (key := _wrapper_key(content)) is not None:
            beside += [str(other) for other in content if other != key]
            content, step = content[key], f"[{key!r}]"
        else:
            break
        opened.append(step)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            path, f"holds a {type(content).__name__}, expected a state dict: names to tensors"
        )
    if not opened:
        return content, ()
    left_out = f", leaving out {', '.join(beside)}" if beside else ""
    return content, (f"weights found under {''.join(opened)}{left_out}",)


def _wrapper_key(content: Mapping[Any, Any]) -> str | None:
    return next((k for k in WRAPPERS if isinstance(content.get(k), Mapping | list)), None)


def _split(content: Mapping[Any, Any]) -> tuple[dict[str, torch.Tensor], list[str]]:
    tensors: dict[str, torch.Tensor] = {}
    left_out: list[str] = []
    for key, value in content.items():
        name = key if isinstance(key, str) else repr(key)
        if isinstance(value, torch.Tensor):
            tensors[name] = value
        else:
            left_out.append(name)
    return tensors, left_out


def _spec(name: str, tensor: torch.Tensor) -> TensorSpec:
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
