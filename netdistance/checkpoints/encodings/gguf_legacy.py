"""GGML's blocks of 32 numbers: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, and by a table IQ4_NL and MXFP4.

Half-precision scale, then codes; where a type has an offset, it is added after the product. Of 16
bytes of nibbles the low ones are the first 16 codes. Source: `dequantize_row_*` in ggml-quants.c
(https://github.com/ggml-org/ggml), whose products in float32 these are, in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.dtypes import small_float_values
from netdistance.checkpoints.encodings.base import Floats

Bytes = NDArray[np.uint8]
# bytes (n, bytes of a block) to numbers (n, numbers of a block), written into the second
Decode = Callable[[Bytes, Floats], None]

_LOW_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)


def halves(blocks: Bytes, at: int) -> Floats:
    """The half-precision number at byte `at` of each block, as (n, 1) of float32."""
    return column(blocks, at, "<f2").astype(np.float32)[:, None]


def column(blocks: Bytes, at: int, kind: str) -> NDArray[Any]:
    """The item at byte `at` of each block, as a view (n,): numpy is slow at short rows of bytes."""
    items: NDArray[Any] = np.ndarray(
        len(blocks), kind, buffer=blocks, offset=at, strides=blocks.strides[:1]
    )
    return items


def nibbles(blocks: Bytes, at: int) -> Bytes:
    """The low nibbles of 16 bytes from byte `at` on, then the high ones: (n, 32)."""
    codes = np.empty((len(blocks), 4), dtype=np.uint64)
    for half in range(2):  # eight at a time
        packed = column(blocks, at + 8 * half, "<u8").copy()
        np.bitwise_and(packed, _LOW_NIBBLES, out=codes[:, half])
        packed >>= np.uint64(4)
        np.bitwise_and(packed, _LOW_NIBBLES, out=codes[:, 2 + half])
    return codes.view(np.uint8)


def each(values: Floats, out: Floats) -> Floats:
    """Every value as often as `out` has numbers for it, flat.

    A broadcast of runs as short as 32 numbers takes longer than this copy.
    """
    return np.repeat(values.reshape(-1), out.size // values.size)


def scaled(codes: NDArray[np.integer[Any]], scales: Floats, out: Floats) -> None:
    """Codes times the scale of their run, one product a number."""
    np.copyto(out.reshape(-1), codes.reshape(-1))  # quicker than a product that casts
    out *= each(scales, out).reshape(out.shape)


def _pairs(levels: Sequence[int] | Floats) -> NDArray[np.uint16]:
    """What two codes in two bytes mean: half as many look-ups as of single ones."""
    table = np.array(levels, dtype=np.int8).view(np.uint8).astype(np.uint16)
    codes = np.arange(0x0F0F + 1)
    pairs: NDArray[np.uint16] = table[codes & 15] | table[codes >> 8 & 15] << np.uint16(8)
    return pairs


def _looked_up(codes: Bytes, pairs: NDArray[np.uint16]) -> NDArray[np.int8]:
    return pairs.take(codes.view("<u2"), mode="clip").view(np.int8)


# IQ4_NL: 16 levels that lie closer around zero
_LEVELS = _pairs((-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113))
# MXFP4: the values of a 4-bit float doubled, so that they are whole; the scale is halved
_WHOLE = _pairs(2 * small_float_values(2, 1, 1, "none"))


def _with_fifth_bit(blocks: Bytes, at: int) -> Bytes:
    """Codes of 5 bits: 32 high bits at byte `at`, then 16 bytes of nibbles."""
    codes = nibbles(blocks, at + 4)
    bits = column(blocks, at, "<u4").copy().view(np.uint8)
    high = np.unpackbits(bits, bitorder="little").reshape(codes.shape)
    high <<= 4
    codes |= high
    return codes


def _q4_0(blocks: Bytes, out: Floats) -> None:
    codes = nibbles(blocks, 2).view(np.int8)
    codes -= 8
    scaled(codes, halves(blocks, 0), out)


def _q4_1(blocks: Bytes, out: Floats) -> None:
    scaled(nibbles(blocks, 4), halves(blocks, 0), out)
    out += each(halves(blocks, 2), out).reshape(out.shape)


def _q5_0(blocks: Bytes, out: Floats) -> None:
    codes = _with_fifth_bit(blocks, 2).view(np.int8)
    codes -= 16
    scaled(codes, halves(blocks, 0), out)


def _q5_1(blocks: Bytes, out: Floats) -> None:
    scaled(_with_fifth_bit(blocks, 4), halves(blocks, 0), out)
    out += each(halves(blocks, 2), out).reshape(out.shape)


def _q8_0(blocks: Bytes, out: Floats) -> None:
    scaled(blocks[:, 2:].view(np.int8), halves(blocks, 0), out)


def _iq4_nl(blocks: Bytes, out: Floats) -> None:
    scaled(_looked_up(nibbles(blocks, 2), _LEVELS), halves(blocks, 0), out)


def _mxfp4(blocks: Bytes, out: Floats) -> None:
    # 2^(code - 128), subnormal below 2; code 255 is no NaN but 2^127
    scales = np.ldexp(np.float32(1), blocks[:, 0].astype(np.int32) - 128)
    scaled(_looked_up(nibbles(blocks, 1), _WHOLE), scales, out)


DECODERS: Mapping[str, tuple[Decode, str]] = {
    "Q4_0": (_q4_0, "scale x (code - 8)"),
    "Q4_1": (_q4_1, "scale x code + minimum"),
    "Q5_0": (_q5_0, "scale x (code - 16)"),
    "Q5_1": (_q5_1, "scale x code + minimum"),
    "Q8_0": (_q8_0, "scale x code"),
    "IQ4_NL": (_iq4_nl, "scale x the level of the code"),
    "MXFP4": (_mxfp4, "scale 2^k x the 4-bit float"),
}
