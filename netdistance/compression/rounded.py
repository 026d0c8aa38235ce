"""Schemes that round: each element becomes the nearest number that a format has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from netdistance.compression.base import Floats, Parts, Shape, as_rows
from netdistance.grids.floats import Cast
from netdistance.grids.quantiser import Quantiser


@dataclass(frozen=True, slots=True)
class Rounded:
    """Codes of `width` bits, and a scale of `scale_bits` for what shares one."""

    name: str
    quantiser: Quantiser
    width: int
    source: str
    floor: str | None = None
    scale_bits: int = 32
    rounds: bool = True

    def encode(self, weight: Floats) -> Parts:
        """As Scheme.encode."""
        codes, scales = self.quantiser.encode(as_rows(weight))
        return {"codes": codes, "scale": scales}

    def decode(self, parts: Parts, shape: Shape) -> Floats:
        """As Scheme.decode."""
        return self.quantiser.decode(parts["codes"], parts["scale"]).reshape(shape)

    def bits(self, shape: Shape, held: int) -> int:
        """As Scheme.bits."""
        scales = self.quantiser.cut.count(shape[0], math.prod(shape[1:]))
        return self.width * math.prod(shape) + self.scale_bits * scales


@dataclass(frozen=True, slots=True)
class Short:
    """Floating point of 16 bits, without a scale."""

    name: str
    number: Cast
    source: str
    floor: str | None = None
    rounds: bool = True

    def encode(self, weight: Floats) -> Parts:
        """As Scheme.encode."""
        return {"codes": self.number.codes(weight)}

    def decode(self, parts: Parts, shape: Shape) -> Floats:
        """As Scheme.decode."""
        return self.number.values(parts["codes"]).reshape(shape)

    def bits(self, shape: Shape, held: int) -> int:
        """As Scheme.bits."""
        return 16 * math.prod(shape)


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
