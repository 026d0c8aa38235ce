"""GGML's K-quants: blocks of 256 numbers whose 8 or 16 groups have scales of few bits.

A group's scale is the product of a half-precision one and its own small one, rounded to float32
first; where there is a minimum it is taken away last. Source: `dequantize_row_q*_K` in
ggml-quants.c (https://github.com/ggml-org/ggml).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.encodings.base import Floats
from netdistance.checkpoints.encodings.gguf_legacy import Bytes, Decode, halves


def _spread(packed: Bytes, width: int, bits: int) -> Bytes:
    """Codes of `bits` bits, for every `width` bytes the lowest first: (n, k) to (n, k 8 / bits)."""
    n, size = packed.shape
    steps = 8 // bits
    codes = np.empty((n, size // width, steps, width), dtype=np.uint8)
    source = packed.reshape(n, size // width, width)
    for step in range(steps):
        np.right_shift(source, bits * step, out=codes[:, :, step])
    codes &= (1 << bits) - 1
    return codes.reshape(n, -1)


def _scaled(codes: NDArray[np.integer[Any]], scales: Floats, out: Floats) -> None:
    """Each group's codes, signed or not, times its scale; scales are (n, groups)."""
    np.copyto(out, codes)
    groups = out.reshape(*scales.shape, -1)
    groups *= scales[:, :, None]


def _six_bit(packed: Bytes) -> tuple[Bytes, Bytes]:
    """The 8 scales and 8 minima of 6 bits in 12 bytes: (n, 8) each."""
    first, second, third = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = [first & 63, (third & 15) | (first >> 2 & 48)]
    minima = [second & 63, (third >> 4) | (second >> 2 & 48)]
    return np.concatenate(scales, axis=1), np.concatenate(minima, axis=1)


def _less_minima(minima: Floats, out: Floats) -> None:
    groups = out.reshape(*minima.shape, -1)
    groups -= minima[:, :, None]


def _q2_k(blocks: Bytes, out: Floats) -> None:
    scales = halves(blocks, 80) * (blocks[:, :16] & 15)
    _scaled(_spread(blocks[:, 16:80], 32, 2), scales.astype(np.float32), out)
    _less_minima(halves(blocks, 82) * (blocks[:, :16] >> 4), out)


def _q3_k(blocks: Bytes, out: Floats) -> None:
    low, high = blocks[:, 96:104], blocks[:, 104:108]
    six = _spread(low, 8, 4) | _spread(high, 4, 2) << 4
    codes = _spread(blocks[:, 32:96], 32, 2)
    codes |= _spread(blocks[:, :32], 32, 1) << 2  # a high bit that is not set takes 4 away
    signed = codes.view(np.int8)
    signed -= 4
    _scaled(codes.view(np.int8), halves(blocks, 108) * (six.view(np.int8) - 32), out)


def _q4_k(blocks: Bytes, out: Floats) -> None:
    scales, minima = _six_bit(blocks[:, 4:16])
    _scaled(_spread(blocks[:, 16:], 32, 4), halves(blocks, 0) * scales, out)
    _less_minima(halves(blocks, 2) * minima, out)


def _q5_k(blocks: Bytes, out: Floats) -> None:
    scales, minima = _six_bit(blocks[:, 4:16])
    codes = _spread(blocks[:, 48:], 32, 4)
    codes |= _spread(blocks[:, 16:48], 32, 1) << 4
    _scaled(codes, halves(blocks, 0) * scales, out)
    _less_minima(halves(blocks, 2) * minima, out)


def _q6_k(blocks: Bytes, out: Floats) -> None:
    codes = _spread(blocks[:, :128], 64, 4)
    codes |= _spread(blocks[:, 128:192], 32, 2) << 4
    signed = codes.view(np.int8)
    signed -= 32
    scales = halves(blocks, 208) * blocks[:, 192:208].view(np.int8)
    _scaled(signed, scales, out)


_MINIMUM = "scale x code - minimum, both products of a float16 and few bits"
_SIGNED = "scale x (code - {}), the scale a product of a float16 and few bits"
DECODERS: Mapping[str, tuple[Decode, str]] = {
    "Q2_K": (_q2_k, _MINIMUM),
    "Q3_K": (_q3_k, _SIGNED.format(4)),
    "Q4_K": (_q4_k, _MINIMUM),
    "Q5_K": (_q5_k, _MINIMUM),
    "Q6_K": (_q6_k, _SIGNED.format(32)),
}
