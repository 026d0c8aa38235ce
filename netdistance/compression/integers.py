"""Whole multiples of a step, one for each row or for each group along it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from netdistance.compression.base import (
    Floats,
    Parts,
    Shape,
    as_rows,
    bands,
    group_maxima,
    spread,
)
from netdistance.linalg.rounding_sums import INT4_GROUP

SCALE_BITS = 32


@dataclass(frozen=True, slots=True)
class Integers:
    """Codes from -top to top, top = 2^(bits - 1) - 1, times max / top of their row or group.

    Without a group a row has one step. Symmetric, rounded to nearest, ties to even, scales in
    float32: the grid of the noise floor's int8, and of its int4 in groups of 128.
    """

    width: int
    group: int | None = None
    rounds: bool = True
    source: str = "max / (2^(bits - 1) - 1) of each row or group; compressed-tensors, symmetric"

    @property
    def name(self) -> str:
        """As Scheme.name."""
        return f"int{self.width}" + ("" if self.group is None else f"-g{self.group}")

    @property
    def floor(self) -> str | None:
        """As Scheme.floor."""
        return {(8, None): "int8", (4, INT4_GROUP): "int4"}.get((self.width, self.group))

    @property
    def top(self) -> int:
        """The largest code."""
        return (1 << (self.width - 1)) - 1

    def length(self, columns: int) -> int:
        """How many elements of a row share a step."""
        return columns if self.group is None else min(self.group, columns)

    def encode(self, weight: Floats) -> Parts:
        """As Scheme.encode."""
        rows = as_rows(weight)
        length = self.length(rows.shape[1])
        codes = np.empty(rows.shape, dtype=np.int8)
        steps = group_maxima_of(rows, length) / np.float32(self.top)
        for band in bands(*rows.shape):
            # a row of zeros has code 0 for any step
            used = np.where(steps[band] > 0.0, steps[band], np.float32(np.inf))
            scaled = rows[band] / spread(used, length, rows.shape[1])
            np.rint(scaled, out=scaled)
            np.clip(scaled, -self.top, self.top, out=scaled)
            codes[band] = scaled
        return {"codes": codes, "scale": steps}

    def decode(self, parts: Parts, shape: Shape) -> Floats:
        """As Scheme.decode."""
        codes, steps = parts["codes"], parts["scale"]
        values: Floats = codes.astype(np.float32)
        length = self.length(codes.shape[1])
        for band in bands(*codes.shape):
            values[band] *= spread(steps[band], length, codes.shape[1])
        return values.reshape(shape)

    def bits(self, shape: Shape, held: int) -> int:
        """As Scheme.bits."""
        columns = math.prod(shape[1:])
        groups = shape[0] * -(-columns // self.length(columns))
        return self.width * math.prod(shape) + SCALE_BITS * groups


def group_maxima_of(rows: Floats, length: int) -> Floats:
    """The largest magnitude of each group of a matrix of any size, band by band."""
    found = [group_maxima(rows[band], length) for band in bands(*rows.shape)]
    return np.concatenate(found)


def packed_words(codes: np.ndarray[Any, Any], width: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Codes as 4-bit or 8-bit fields of 32-bit words along a row, the first in the lowest bits.

    Each code is stored plus 2^(width - 1); a row is filled with zeros. This is the layout of
    compressed-tensors' pack-quantized weights.
    """
    per_word = 32 // width
    rows, columns = codes.shape
    padded = np.zeros((rows, -(-columns // per_word) * per_word), dtype=np.uint8)
    padded[:, :columns] = codes.astype(np.int16) + (1 << (width - 1))
    if width == 4:
        padded = padded[:, 0::2] | (padded[:, 1::2] << 4)
    return np.ascontiguousarray(padded).view("<i4")
