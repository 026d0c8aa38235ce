"""Two 4-bit codes to a byte, through a table of 16 values, and a scale for each run of them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# bytes at a time: codes, their indices and the values together stay in the L2 cache
_BATCH = 1 << 15
# numbers scaled at a time, for the same reason
_SCALED = 1 << 17


def two_floats(values: Floats, *, first: Literal["low", "high"]) -> NDArray[np.uint64]:
    """For each byte the two float32 of its nibbles, as one number of 64 bits.

    `values` are those of the 16 codes; `first` says which nibble stands first.
    """
    low, high = values[np.arange(256) & 0xF], values[np.arange(256) >> 4]
    pairs = (low, high) if first == "low" else (high, low)
    return np.ascontiguousarray(np.stack(pairs, axis=1)).view(np.uint64).reshape(-1)


def nibble_pairs(codes: NDArray[np.uint8], pairs: NDArray[np.uint64]) -> Floats:
    """The values of the bytes, two for each, as a new 1-D array; `pairs` is of `two_floats`."""
    found = np.empty(codes.size, dtype=np.uint64)
    for at in range(0, codes.size, _BATCH):
        # clip: numpy checks the bounds of each index otherwise, and copies what it writes
        np.take(pairs, codes[at : at + _BATCH], out=found[at : at + _BATCH], mode="clip")
    return found.view(np.float32)


def scale_runs(values: Floats, scales: Floats, run: int) -> None:
    """Multiply each `run` of the 1-D values by its scale; the last run may be short.

    Copies of the scales take less time than broadcasting over runs of 64.
    """
    step = max(1, _SCALED // run)
    for first in range(0, len(scales), step):
        part = values[first * run : (first + step) * run]
        part *= np.repeat(scales[first : first + step], run)[: len(part)]
