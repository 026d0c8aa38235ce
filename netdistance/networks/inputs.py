"""Inputs and labels from files: NumPy arrays, and the IDX files of MNIST as they are."""

from __future__ import annotations

import gzip
import io
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netdistance.errors import InputError

# the type byte of an IDX file (http://yann.lecun.com/exdb/mnist/): big-endian numbers
_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_IDX_BYTES = 1 << 33


@dataclass(frozen=True, slots=True)
class Inputs:
    """A set of inputs, the first axis counting them, and what was done to read them."""

    values: Tensor  # (N, ...)
    note: str


def load_inputs(path: str | os.PathLike[str]) -> Inputs:
    """Inputs of a network, ready for its forward.

    Images of bytes become floats in [0, 1] with a channel axis: (N, H, W) to (N, 1, H, W). Other
    floats become float32; integers stay, since they may be tokens.

    Raises:
        InputError: no such file, neither .npy nor IDX, empty, or not finite.
    """
    array = _read(Path(path))
    note = f"{array.dtype.name} {_shape(array)}"
    if array.ndim < 2:
        raise InputError(f"{path}: has shape {_shape(array)}, expected inputs along the first axis")
    if array.dtype == np.uint8:
        array = array.astype(np.float32) / np.float32(255.0)
        array = array[:, None] if array.ndim == 3 else array
        note += f", scaled by 1/255 to float32 {_shape(array)}"
    elif array.dtype.kind == "f":
        with np.errstate(
            over="ignore"
        ):  # what float32 cannot hold becomes infinite, and is refused
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise InputError(f"{path}: holds NaN or infinity as float32, expected finite inputs")
    elif array.dtype.kind in "iu":
        array = array.astype(np.int64)
    else:
        raise InputError(f"{path}: holds {array.dtype}, expected numbers")
    return Inputs(torch.from_numpy(np.ascontiguousarray(array)), note)


def load_targets(path: str | os.PathLike[str], expected: int) -> Tensor:
    """Class labels, one for each input, as int64 (N,).

    Raises:
        InputError: not integers, or not one for each of the `expected` inputs.
    """
    array = _read(Path(path))
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise InputError(
            f"{path}: holds {array.dtype} {_shape(array)}, expected integer labels (N,)"
        )
    if array.shape[0] != expected:
        raise InputError(
            f"{path}: holds {array.shape[0]} labels, expected {expected}, one per input"
        )
    return torch.from_numpy(array.astype(np.int64))


def _read(path: Path) -> NDArray[Any]:
    try:
        if not path.is_file():
            raise InputError(
                f"{path}: no such file" if not path.exists() else f"{path}: not a file"
            )
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            with gzip.open(path) as stream:
                raw = stream.read(_MAX_IDX_BYTES)
        array = _npy(path, raw) if raw[:6] == b"\x93NUMPY" else _idx(path, raw)
    except (OSError, zlib.error, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot be read: {reason}") from error
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
