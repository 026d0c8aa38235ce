"""Codes into a table of 16 numbers, times the largest of a block: nf4, fp4 and mxfp4."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.dtypes import small_float_values
from netdistance.compression.base import (
    Floats,
    Parts,
    Shape,
    as_rows,
    bands,
    bounds_to_even,
    group_maxima,
    nearest_codes,
    spread,
)

# along the flattened tensor, as bitsandbytes cuts it
BLOCK = 64
# quantiles of a normal distribution, with an exact zero (arXiv 2305.14314, appendix E)
NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0,
)  # fmt: skip
# sign, then 0, 1/16 and 2 to 12 in bitsandbytes' order of codes, over 12
_FP4_MAGNITUDES = (0.0, 0.0625, 8.0, 12.0, 4.0, 6.0, 2.0, 3.0)
FP4 = tuple(sign * value / 12.0 for sign in (1.0, -1.0) for value in _FP4_MAGNITUDES)
# below this, 1 / max is no float32
_LEAST = np.float32(1e-38)
_MX_GROUP, _MX_TOP_EXPONENT, _E8M0_BIAS = 32, 2, 127


@dataclass(frozen=True, slots=True)
class BlockTable:
    """4-bit codes into a table, times the largest magnitude of each block of 64, in float32."""

    name: str
    table: tuple[float, ...]
    source: str
    floor: str | None = None
    rounds: bool = True

    @property
    def values(self) -> Floats:
        """The table in float32, by code."""
        return np.array(self.table, dtype=np.float32)

    def encode(self, weight: Floats) -> Parts:
        """As Scheme.encode."""
        flat = weight.reshape(-1)
        whole = flat.size // BLOCK * BLOCK
        codes = np.empty(flat.size, dtype=np.uint8)
        largest = [self._encode(flat[:whole].reshape(-1, BLOCK), codes[:whole])]
        if whole < flat.size:
            largest.append(self._encode(flat[whole:].reshape(1, -1), codes[whole:]))
        return {"codes": codes, "scale": np.concatenate(largest)}

    def _encode(self, blocks: Floats, codes: NDArray[np.uint8]) -> Floats:
        """Fill in the codes of blocks; the largest magnitude of each comes back."""
        order = np.argsort(self.values, kind="stable")
        ascending = self.values[order]
        nearest = nearest_codes((ascending[1:] + ascending[:-1]) * np.float32(0.5))
        target = codes.reshape(blocks.shape)
        largest = np.empty(blocks.shape[0], dtype=np.float32)
        for band in bands(*blocks.shape):
            own = np.abs(blocks[band]).max(axis=1)
            scaled = blocks[band] * (np.float32(1.0) / np.maximum(own, _LEAST))[:, None]
            target[band] = order.astype(np.uint8)[nearest(scaled)]
            largest[band] = own
        return largest

    def decode(self, parts: Parts, shape: Shape) -> Floats:
        """As Scheme.decode."""
        codes, largest = parts["codes"], parts["scale"]
        values: Floats = self.values[codes]
        whole = codes.size // BLOCK * BLOCK
        values[:whole].reshape(-1, BLOCK)[...] *= largest[: whole // BLOCK, None]
        values[whole:] *= largest[whole // BLOCK :]
        return values.reshape(shape)

    def bits(self, shape: Shape, held: int) -> int:
        """As Scheme.bits."""
        elements = math.prod(shape)
        return 4 * elements + 32 * -(-elements // BLOCK)


@dataclass(frozen=True, slots=True)
class MxFp4:
    """fp4 e2m1 times a power of two for each 32 along a row, the last group of it ragged.

    The exponent of a group is floor(log2 max) - 2, so that what lies above 6 times the power goes
    to 6: up to 2 of 8 of a group's range are cut.
    """

    name: str = "mxfp4"
    source: str = "OCP microscaling specification 1.0, sections 5.3.3 and 6.3"
    floor: str | None = None
    rounds: bool = True

    def encode(self, weight: Floats) -> Parts:
        """As Scheme.encode."""
        rows = as_rows(weight)
        magnitudes = small_float_values(2, 1, 1, "none")[:8]
        nearest = nearest_codes(bounds_to_even(magnitudes))
        codes = np.empty(rows.shape, dtype=np.uint8)
        exponents = []
        for band in bands(*rows.shape):
            largest = group_maxima(rows[band], _MX_GROUP)
            exponent = np.frexp(largest)[1] - 1 - _MX_TOP_EXPONENT
            exponent = np.where(largest > 0.0, exponent, -_E8M0_BIAS)
            exponent = np.clip(exponent, -_E8M0_BIAS, _E8M0_BIAS)
            power = np.repeat(exponent, _MX_GROUP, axis=1)[:, : rows.shape[1]]
            codes[band] = nearest(np.ldexp(np.abs(rows[band]), -power))
            codes[band] |= np.signbit(rows[band]).astype(np.uint8) << 3
            exponents.append((exponent + _E8M0_BIAS).astype(np.uint8))
        return {"codes": codes, "scale": np.concatenate(exponents)}

    def decode(self, parts: Parts, shape: Shape) -> Floats:
        """As Scheme.decode."""
        codes = parts["codes"]
        powers = np.ldexp(np.float32(1.0), parts["scale"].astype(np.int32) - _E8M0_BIAS)
        values: Floats = small_float_values(2, 1, 1, "none")[codes]
        for band in bands(*codes.shape):
            values[band] *= spread(powers[band], _MX_GROUP, codes.shape[1])
        return values.reshape(shape)

    def bits(self, shape: Shape, held: int) -> int:
        """As Scheme.bits."""
        groups = shape[0] * -(-math.prod(shape[1:]) // _MX_GROUP)
        return 4 * math.prod(shape) + 8 * groups
