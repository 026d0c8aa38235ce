"""Arrays of what a caller has in memory: tensors, arrays, lists, and a reason for all else."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netdistance.errors import InputError

# what numpy has as well
_SHARED = (torch.float64, torch.float32, torch.float16)


def as_array(value: Any, where: str) -> NDArray[Any]:
    """A tensor, an array, or lists of numbers as an array; bfloat16 and float8 as float32.

    Raises:
        InputError: it holds no data, is not dense, has rows of different lengths, or no numbers.
    """
    if isinstance(value, Tensor):
        return _of_tensor(value, where)
    try:
        array = np.asarray(value)
    except Exception as error:  # numpy asks the object itself, which may raise anything
        raise InputError(f"{where}: {_no_numbers(value)}") from error
    if array.dtype == object:
        raise InputError(f"{where}: {_no_numbers(value)}")
    return array


def _no_numbers(value: Any) -> str:
    return (
        f"of type {type(value).__name__}, which makes no array of numbers, expected a tensor, an "
        "array or lists; pad rows to one length"
    )


def _of_tensor(tensor: Tensor, where: str) -> NDArray[Any]:
    problem = ""
    if tensor.is_nested:
        problem = "a nested tensor, expected rows of one length; use to_padded_tensor"
    elif tensor.layout != torch.strided:
        kind = str(tensor.layout).removeprefix("torch.")
        problem = f"a {kind} tensor, expected a dense one; use to_dense()"
    elif tensor.is_meta:
        problem = "a tensor without data (device meta), expected numbers; make it on the CPU"
    elif tensor.is_quantized:
        problem = "a quantised tensor, expected plain numbers; use dequantize()"
    if problem:
        raise InputError(f"{where}: {problem}")
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    narrow = tensor.is_floating_point() and tensor.dtype not in _SHARED
    return np.asarray(tensor.float() if narrow else tensor)


def as_int64(array: NDArray[Any], where: str) -> NDArray[np.int64]:
    """Whole numbers as int64.

    Raises:
        InputError: one of them is larger than int64 holds.
    """
    if array.dtype == np.uint64 and array.size and int(array.max()) > np.iinfo(np.int64).max:
        what = f"holds {array.dtype} up to {int(array.max())}, which int64 does not hold"
        raise InputError(f"{where}: {what}; give smaller numbers")
    return array.astype(np.int64)
