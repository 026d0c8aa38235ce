"""GGML's blocks of 32 numbers: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, and by a table IQ4_NL and MXFP4.

Half-precision scale, then codes; where a type has an offset, it is added after the product. Of 16
bytes of nibbles the low ones are the first 16 codes. Source: `dequantize_row_*` in ggml-quants.c
(https://github.com/ggml-org/ggml), whose products in float32 these are, in its order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.dtypes import small_float_values
from netdistance.checkpoints.encodings.base import Floats

Bytes = NDArray[np.uint8]
# bytes (n, bytes of a block) to numbers (n, numbers of a block), written into the second
Decode = Callable[[Bytes, Floats], None]

# IQ4_NL: 16 levels that lie closer around zero
_LEVELS = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)


def halves(blocks: Bytes, at: int) -> Floats:
    """The half-precision number at byte `at` of each block, as a column (n, 1) of float32."""
    column: Floats = blocks[:, at : at + 2].copy().view("<f2").astype(np.float32)
    return column


def nibbles(packed: Bytes) -> Bytes:
    """The low nibbles of each row, then its high ones: (n, k) to (n, 2 k)."""
    width = packed.shape[1]
    codes = np.empty((packed.shape[0], 2 * width), dtype=np.uint8)
    np.bitwise_and(packed, 15, out=codes[:, :width])
    np.right_shift(packed, 4, out=codes[:, width:])
    return codes


def _with_fifth_bit(blocks: Bytes, at: int) -> Bytes:
    """Codes of 5 bits: 32 high bits at byte `at`, then 16 bytes of nibbles."""
    codes = nibbles(blocks[:, at + 4 : at + 20])
    high = np.unpackbits(blocks[:, at : at + 4], axis=1, bitorder="little")
    codes |= high << 4
    return codes


def _q4_0(blocks: Bytes, out: Floats) -> None:
    codes = nibbles(blocks[:, 2:]).view(np.int8)
    np.copyto(out, np.subtract(codes, 8, out=codes))
    out *= halves(blocks, 0)


def _q4_1(blocks: Bytes, out: Floats) -> None:
    np.copyto(out, nibbles(blocks[:, 4:]))
    out *= halves(blocks, 0)
    out += halves(blocks, 2)


def _q5_0(blocks: Bytes, out: Floats) -> None:
    codes = _with_fifth_bit(blocks, 2).view(np.int8)
    np.copyto(out, np.subtract(codes, 16, out=codes))
    out *= halves(blocks, 0)


def _q5_1(blocks: Bytes, out: Floats) -> None:
    np.copyto(out, _with_fifth_bit(blocks, 4))
    out *= halves(blocks, 0)
    out += halves(blocks, 2)


def _q8_0(blocks: Bytes, out: Floats) -> None:
    np.copyto(out, blocks[:, 2:].view(np.int8))
    out *= halves(blocks, 0)


def _iq4_nl(blocks: Bytes, out: Floats) -> None:
    np.take(np.array(_LEVELS, np.float32), nibbles(blocks[:, 2:]), out=out, mode="clip")
    out *= halves(blocks, 0)


def _mxfp4(blocks: Bytes, out: Floats) -> None:
    # GGML doubles the values and halves the scale, so that the values are whole
    values = 2 * small_float_values(2, 1, 1, "none")
    values[8] = 0  # and has no minus zero
    np.take(values, nibbles(blocks[:, 1:]), out=out, mode="clip")
    # 2^(code - 128), subnormal below 2; code 255 is no NaN but 2^127
    out *= np.ldexp(np.float32(1), blocks[:, :1].astype(np.int32) - 128)


DECODERS: Mapping[str, tuple[Decode, str]] = {
    "Q4_0": (_q4_0, "scale x (code - 8)"),
    "Q4_1": (_q4_1, "scale x code + minimum"),
    "Q5_0": (_q5_0, "scale x (code - 16)"),
    "Q5_1": (_q5_1, "scale x code + minimum"),
    "Q8_0": (_q8_0, "scale x code"),
    "IQ4_NL": (_iq4_nl, "scale x the level of the code"),
    "MXFP4": (_mxfp4, "scale 2^k x the 4-bit float"),
}
