"""The header of a .npy array: parsed by `numpy.lib.format`, refused where it is implausible."""

from __future__ import annotations

import math
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from netdistance.checkpoints.base import MAX_ELEMENTS, brief
from netdistance.errors import CheckpointError

MAX_HEADER_BYTES = 10_000  # numpy's own limit for a header that nobody vouches for
# version 3 differs in the names of structured fields only, and those hold no plain numbers
_PARSERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def npy_header(
    head: bytes, path: Path, name: str
) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether in Fortran order, element type, and length of a header, by its first bytes.

    Raises:
        CheckpointError: it is no .npy header, overflows, or announces pickled objects.
    """
    shape, columns_first, dtype, length = _parsed(head, path, name)
    problem = None
    if not all(type(size) is int and size >= 0 for size in shape):
        problem = f"shape is {brief(shape)}, expected sizes >= 0"
    elif max((math.prod(shape), *shape)) > MAX_ELEMENTS:
        problem = f"shape {brief(shape)} overflows: more than 2^62"
    elif dtype.hasobject:
        problem = "refused: an object array is a pickle, which could run code; save it as numbers"
    if problem is not None:
        raise CheckpointError(path, problem, tensor=name)
    return shape, columns_first, dtype, length


def _parsed(head: bytes, path: Path, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    text = BytesIO(head)
    try:
        with warnings.catch_warnings(action="ignore"):  # of headers that Python 2 wrote
            version = npy.read_magic(text)
            if version not in _PARSERS:
                raise ValueError(f"version {version}, expected (1, 0) or (2, 0)")
            return *_PARSERS[version](text, MAX_HEADER_BYTES), text.tell()
    except Exception as error:  # it evaluates a Python literal: no class is its contract
        what = next(iter(str(error).splitlines()), type(error).__name__)
        raise CheckpointError(path, f"invalid .npy header ({what[:160]})", tensor=name) from error
