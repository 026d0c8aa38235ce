"""GGML's K-quants: blocks of 256 numbers whose 8 or 16 groups have scales of few bits.

A group's scale is the product of a half-precision one and its own small one, rounded to float32
first; where there is a minimum it is taken away last. Source: `dequantize_row_q*_K` in
ggml-quants.c (https://github.com/ggml-org/ggml).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from netdistance.checkpoints.encodings.base import Floats
from netdistance.checkpoints.encodings.gguf_legacy import (
    Bytes,
    Decode,
    column,
    each,
    halves,
    scaled,
)

# of four scales at a time
_SIX_BITS = np.uint32(0x3F3F3F3F)


def _spread(packed: Bytes, width: int, bits: int) -> Bytes:
    """Codes of `bits` bits, for every `width` bytes the lowest first: (n, k) to (n, k 8 / bits)."""
    word = np.dtype(f"<u{min(width, 8)}")  # as many bytes at a time
    source = np.ascontiguousarray(packed).view(word).reshape(-1, width // word.itemsize)
    codes = np.empty((len(source), 8 // bits, source.shape[1]), dtype=word)
    for step in range(8 // bits):
        for at in range(source.shape[1]):  # long columns: numpy is slow at short rows
            np.right_shift(source[:, at], word.type(bits * step), out=codes[:, step, at])
    spread = codes.view(np.uint8).reshape(len(packed), -1)
    spread &= (1 << bits) - 1
    return spread


def _six_bit(blocks: Bytes, at: int) -> tuple[Bytes, Bytes]:
    """The 8 scales and 8 minima of 6 bits in 12 bytes from byte `at` on: (n, 8) each."""
    first, second, third = (column(blocks, at + 4 * i, "<u4").copy() for i in range(3))
    low, high = np.uint32(0x0F0F0F0F), np.uint32(0x30303030)
    parts = (
        (first & _SIX_BITS, (third & low) | (first >> 2 & high)),
        (second & _SIX_BITS, (third >> 4 & low) | (second >> 2 & high)),
    )
    scales, minima = (np.stack(part, axis=1).view(np.uint8) for part in parts)
    return scales, minima


def _less(minima: Floats, out: Floats) -> None:
    out -= each(minima, out).reshape(out.shape)


def _q2_k(blocks: Bytes, out: Floats) -> None:
    scales = halves(blocks, 80) * (blocks[:, :16] & 15)
    scaled(_spread(blocks[:, 16:80], 32, 2), scales, out)
    _less(halves(blocks, 82) * (blocks[:, :16] >> 4), out)


def _q3_k(blocks: Bytes, out: Floats) -> None:
    low, high = blocks[:, 96:104], blocks[:, 104:108]
    six = _spread(low, 8, 4) | _spread(high, 4, 2) << 4
    codes = _spread(blocks[:, 32:96], 32, 2)
    codes |= _spread(blocks[:, :32], 32, 1) << 2  # a high bit that is not set takes 4 away
    signed = codes.view(np.int8)
    signed -= 4
    scaled(codes.view(np.int8), halves(blocks, 108) * (six.view(np.int8) - 32), out)


def _q4_k(blocks: Bytes, out: Floats) -> None:
    scales, minima = _six_bit(blocks, 4)
    scaled(_spread(blocks[:, 16:], 32, 4), halves(blocks, 0) * scales, out)
    _less(halves(blocks, 2) * minima, out)


def _q5_k(blocks: Bytes, out: Floats) -> None:
    scales, minima = _six_bit(blocks, 4)
    codes = _spread(blocks[:, 48:], 32, 4)
    codes |= _spread(blocks[:, 16:48], 32, 1) << 4
    scaled(codes, halves(blocks, 0) * scales, out)
    _less(halves(blocks, 2) * minima, out)


def _q6_k(blocks: Bytes, out: Floats) -> None:
    codes = _spread(blocks[:, :128], 64, 4)
    codes |= _spread(blocks[:, 128:192], 32, 2) << 4
    signed = codes.view(np.int8)
    signed -= 32
    scales = halves(blocks, 208) * blocks[:, 192:208].view(np.int8)
    scaled(signed, scales, out)


_MINIMUM = "scale x code - minimum, both products of a float16 and few bits"
_SIGNED = "scale x (code - {}), the scale a product of a float16 and few bits"
DECODERS: Mapping[str, tuple[Decode, str]] = {
    "Q2_K": (_q2_k, _MINIMUM),
    "Q3_K": (_q3_k, _SIGNED.format(4)),
    "Q4_K": (_q4_k, _MINIMUM),
    "Q5_K": (_q5_k, _MINIMUM),
    "Q6_K": (_q6_k, _SIGNED.format(32)),
}
