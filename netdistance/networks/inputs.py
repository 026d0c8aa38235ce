"""Inputs and labels: from arrays, by argument name, from MNIST's IDX files, or drawn."""

from __future__ import annotations

import gzip
import io
import math
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netdistance.checkpoints.opening import open_arrays
from netdistance.errors import CheckpointError, InputError, UsageError
from netdistance.networks.arrays import as_array, as_int64
from netdistance.networks.batch import Arguments, Batch

# the type byte of an IDX file (http://yann.lecun.com/exdb/mnist/): big-endian numbers
_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_IDX_BYTES = 1 << 33
_MAX_RANDOM = 10**9


@dataclass(frozen=True, slots=True)
class Inputs:
    """A set of inputs, the first axis counting them, and what was done to read or draw them."""

    values: Batch  # (N, ...)
    note: str


InputSource = str | os.PathLike[str] | Tensor | NDArray[Any] | Mapping[str, Any]


def load_inputs(source: InputSource) -> Inputs:
    """Inputs of a network, ready for its forward.

    A file holds one array (.npy, IDX) or several by the names of forward arguments (.npz,
    .safetensors, .pt); from Python they may be a tensor, an array or a mapping of them. Images of
    bytes become floats in [0, 1] with a channel axis: (N, H, W) to (N, 1, H, W). Other floats
    become float32; integers stay, since they may be tokens, and truth values, which may be masks.

    Raises:
        InputError: no such file, of none of these formats, empty, or not finite.
    """
    if not isinstance(source, str | os.PathLike):
        found = source if isinstance(source, Mapping) else {"": source}
        named = {
            name: as_array(value, f"<inputs> {name}".rstrip()) for name, value in found.items()
        }
        where = Path("<inputs>")
    else:
        where = Path(source)
        raw = read_bytes(where)
        named = _named(where) if _is_archive(raw) else {"": _array(where, raw)}
    if not named:
        raise InputError(f"{where}: holds no arrays")
    if others := [name for name in named if not isinstance(name, str)]:
        what = f"a mapping with the key {others[0]!r}, expected names of forward arguments"
        raise InputError(f"{where}: {what}")
    ready = {n: prepared(array, f"{where} {n}".rstrip()) for n, array in named.items()}
    counts = {name: len(tensor) for name, (tensor, _) in ready.items()}
    if len(set(counts.values())) > 1:
        each = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise InputError(f"{where}: holds arrays of different lengths ({each}), expected N of each")
    if len(ready) == 1:  # the first argument of the forward, whatever it is called there
        ((tensor, note),) = ready.values()
        return Inputs(tensor, note)
    notes = "; ".join(f"{name}: {note}" for name, (_, note) in ready.items())
    return Inputs(Arguments({name: tensor for name, (tensor, _) in ready.items()}), notes)


def random_inputs(shape: str, seed: int) -> Inputs:
    """Independent standard normal numbers of a shape such as "64,3,32,32".

    Raises:
        UsageError: it is no list of two or more positive sizes, or of too many numbers.
    """
    sizes = [int(part) if part.strip().isdecimal() else 0 for part in shape.split(",")]
    if len(sizes) < 2 or min(sizes) < 1 or math.prod(sizes) > _MAX_RANDOM:
        raise UsageError(
            f"--random-inputs {shape}: expected sizes, the number of inputs first, such as "
            f"64,3,32,32, of at most {_MAX_RANDOM:,} numbers"
        )
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(sizes, generator=generator)
    return Inputs(values, f"synthetic: standard normal {'x'.join(map(str, sizes))}, seed {seed}")


def prepared(array: NDArray[Any], where: str) -> tuple[Tensor, str]:
    """One array as a forward takes it, as `load_inputs` says, and what was done to it.

    Raises:
        InputError: it is empty, not finite, has no axis but that of the inputs, or no numbers.
    """
    note = f"{array.dtype.name} {_shape(array)}"
    if array.size == 0:
        raise InputError(f"{where}: is empty, shape {_shape(array)}")
    if array.ndim < 2:
        raise InputError(
            f"{where}: has shape {_shape(array)}, expected inputs along the first axis"
        )
    if array.dtype == np.uint8:
        array = array.astype(np.float32) / np.float32(255.0)
        array = array[:, None] if array.ndim == 3 else array
        note += f", scaled by 1/255 to float32 {_shape(array)}"
    elif array.dtype.kind == "f":
        # what float32 cannot hold becomes infinite, and is refused
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise InputError(f"{where}: holds NaN or infinity as float32, expected finite inputs")
    elif array.dtype.kind in "iu":
        array = as_int64(array, where)
    elif array.dtype.kind != "b":
        expected = "expected numbers: floats, whole numbers or truth values"
        raise InputError(f"{where}: holds {array.dtype}, {expected}")
    return torch.from_numpy(np.ascontiguousarray(array)), note


def _is_archive(raw: bytes) -> bool:
    """Whether the bytes are neither .npy nor IDX: then they may hold arrays by name."""
    return raw[:6] != b"\x93NUMPY" and raw[:2] != b"\0\0"


def _named(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a .npz, .safetensors or torch file, by name."""
    try:
        with open_arrays(path) as file:
            return {name: file.read(name) for name in file.specs}
    except CheckpointError as error:
        why = str(error).removeprefix(f"{path}: ")
        what = "neither .npy nor IDX, nor arrays by name"
        raise InputError(f"{path}: {what} ({why}); save the inputs with numpy.save") from error


def load_targets(source: str | os.PathLike[str] | Tensor | NDArray[Any], expected: int) -> Tensor:
    """Class labels, one for each input, as int64 (N,), or one for each token, (N, T).

    Raises:
        InputError: not integers of 64 bits, or not one for each of the `expected` inputs.
    """
    if isinstance(source, str | os.PathLike):
        where = os.fspath(source)
        array = _array(Path(source), read_bytes(Path(source)))
    else:
        where, array = "<targets>", as_array(source, "<targets>")
    if array.dtype.kind not in "iu" or array.ndim not in (1, 2):
        raise InputError(
            f"{where}: holds {array.dtype} {_shape(array)}, expected integer labels (N,), or (N, T)"
            " where each of T tokens has one"
        )
    if array.shape[0] != expected:
        raise InputError(
            f"{where}: holds {array.shape[0]} labels, expected {expected}, one per input"
        )
    return torch.from_numpy(as_int64(array, where))


def read_bytes(path: Path, expected: str = "a file of arrays such as .npy or .npz") -> bytes:
    """What a file holds, unpacked where it is gzipped.

    Raises:
        InputError: no such file, not a regular one, or unreadable.
    """
    try:
        if not path.is_file():
            found = "no such file" if not path.exists() else "a folder" if path.is_dir() else ""
            what = found or "not a regular file"
            raise InputError(f"{path}: {what}, expected {expected}")
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            with gzip.open(path) as stream:
                raw = stream.read(_MAX_IDX_BYTES)
        return raw
    except (OSError, zlib.error, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot be read: {reason}") from error


def _array(path: Path, raw: bytes) -> NDArray[Any]:
    array = _npy(path, raw) if raw[:6] == b"\x93NUMPY" else _idx(path, raw)
    if array.size == 0:
        raise InputError(f"{path}: is empty, shape {_shape(array)}")
    return array


def _npy(path: Path, raw: bytes) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(io.BytesIO(raw), allow_pickle=False)
        return array
    except (ValueError, EOFError) as error:
        what = next(iter(str(error).splitlines()), "no message")
        raise InputError(f"{path}: not a readable .npy file: {what}") from error


def _idx(path: Path, raw: bytes) -> NDArray[Any]:
    """The array of an IDX file: two zero bytes, a type, the number of axes, their sizes, data."""
    code = _IDX_TYPES.get(raw[2]) if len(raw) >= 4 and raw[:2] == b"\0\0" else None
    if code is None:
        raise InputError(f"{path}: neither .npy nor IDX; save the inputs with numpy.save")
    start = 4 + 4 * raw[3]
    if len(raw) < start:
        raise InputError(f"{path}: IDX header needs {start} bytes, the file has {len(raw)}")
    shape = tuple(int(n) for n in np.frombuffer(raw[4:start], dtype=">u4"))
    needed = start + math.prod(shape) * np.dtype(code).itemsize
    if needed != len(raw):
        raise InputError(f"{path}: IDX header needs {needed} bytes, the file has {len(raw)}")
    array: NDArray[Any] = np.frombuffer(raw, dtype=code, offset=start).reshape(shape)
    return array.astype(array.dtype.newbyteorder("="))


def _shape(array: NDArray[Any]) -> str:
    return "x".join(str(size) for size in array.shape) or "scalar"
