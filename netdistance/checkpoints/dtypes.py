"""Element types: how stored bytes become numbers, exactly.

Every float type decodes to a numpy float type that holds each of its values exactly: bfloat16 by a
16-bit shift, the 8- and 4-bit types by a table of all their values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["float", "integer", "bool", "complex"]
Specials = Literal["ieee", "fn", "fnuz", "none"]
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class DType:
    """One element type of the safetensors format, and how its bytes are decoded.

    `decode` is None for a type that is known to the format but has no decoder here.
    """

    name: str
    kind: Kind
    bits: int
    decode: Callable[[NDArray[np.uint8]], Array] | None


def _view(code: str) -> Callable[[NDArray[np.uint8]], Array]:
    return lambda raw: raw.view(np.dtype(code))


def _bfloat16(raw: NDArray[np.uint8]) -> Array:
    """float32 whose upper half is the bfloat16 and whose lower half is zero."""
    wide = raw.view("<u2").astype(np.uint32)
    np.left_shift(wide, 16, out=wide)
    return wide.view(np.float32)


@cache
def small_float_values(
    exponent_bits: int,
    mantissa_bits: int,
    bias: int,
    specials: Literal["ieee", "fn", "fnuz", "none"],
) -> NDArray[np.float32]:
    """All values of a sign-exponent-mantissa type of at most 8 bits, indexed by code.

    `specials`: "ieee" keeps the top exponent for infinity and NaN; "fn" has NaN at all ones only;
    "fnuz" has NaN at minus zero only; "none" has neither (OCP 8-bit floating point specification
    1.0 and the OCP microscaling specification 1.0).

    >>> float(np.nanmax(small_float_values(4, 3, 7, "fn")))
    448.0
    """
    codes = np.arange(1 << (1 + exponent_bits + mantissa_bits))
    mantissa = codes & ((1 << mantissa_bits) - 1)
    exponent = (codes >> mantissa_bits) & ((1 << exponent_bits) - 1)
    negative = (codes >> (exponent_bits + mantissa_bits)) == 1
    fraction = np.where(exponent > 0, 1 << mantissa_bits, 0) + mantissa
    values = np.ldexp(fraction.astype(np.float64), np.maximum(exponent, 1) - bias - mantissa_bits)
    values = np.where(negative, -values, values)
    top = exponent == (1 << exponent_bits) - 1
    match specials:
        case "ieee":
            values[top & (mantissa == 0)] *= np.inf
            values[top & (mantissa != 0)] = np.nan
        case "fn":
            values[top & (mantissa == (1 << mantissa_bits) - 1)] = np.nan
        case "fnuz":
            values[negative & (exponent == 0) & (mantissa == 0)] = np.nan
        case "none":
            pass
    table: NDArray[np.float32] = values.astype(np.float32)
    return table


def _small_float(
    exponent_bits: int,
    mantissa_bits: int,
    bias: int,
    specials: Literal["ieee", "fn", "fnuz", "none"],
) -> Callable[[NDArray[np.uint8]], Array]:
    def decode(raw: NDArray[np.uint8]) -> Array:
        values = small_float_values(exponent_bits, mantissa_bits, bias, specials)
        # every byte is a code; "clip" takes half the time of the check that none is beyond the end
        return np.take(values, raw, mode="clip")

    return decode


def _float8_e8m0(raw: NDArray[np.uint8]) -> Array:
    """2^(code - 127); code 255 is NaN (OCP microscaling specification 1.0, section 5.4.1)."""
    values = np.ldexp(1.0, raw.astype(np.int32) - 127)
    values[raw == 255] = np.nan
    return values


def _float4_e2m1(raw: NDArray[np.uint8]) -> Array:
    """Two values to a byte, the low nibble first."""
    nibbles = np.empty(2 * raw.size, dtype=np.uint8)
    nibbles[0::2] = raw & 0xF
    nibbles[1::2] = raw >> 4
    return small_float_values(2, 1, 1, "none")[nibbles]


DTYPES: tuple[DType, ...] = (
    DType("F64", "float", 64, _view("<f8")),
    DType("F32", "float", 32, _view("<f4")),
    DType("F16", "float", 16, _view("<f2")),
    DType("BF16", "float", 16, _bfloat16),
    DType("F8_E4M3", "float", 8, _small_float(4, 3, 7, "fn")),
    DType("F8_E5M2", "float", 8, _small_float(5, 2, 15, "ieee")),
    DType("F8_E4M3FNUZ", "float", 8, _small_float(4, 3, 8, "fnuz")),
    DType("F8_E5M2FNUZ", "float", 8, _small_float(5, 2, 16, "fnuz")),
    DType("F8_E8M0", "float", 8, _float8_e8m0),
    DType("F6_E2M3", "float", 6, None),
    DType("F6_E3M2", "float", 6, None),
    DType("F4", "float", 4, _float4_e2m1),
    DType("I64", "integer", 64, _view("<i8")),
    DType("I32", "integer", 32, _view("<i4")),
    DType("I16", "integer", 16, _view("<i2")),
    DType("I8", "integer", 8, _view("i1")),
    DType("U64", "integer", 64, _view("<u8")),
    DType("U32", "integer", 32, _view("<u4")),
    DType("U16", "integer", 16, _view("<u2")),
    DType("U8", "integer", 8, _view("u1")),
    # any byte but 0 is true: some writers leave 0xff
    DType("BOOL", "bool", 8, lambda raw: raw != 0),
    DType("C64", "complex", 64, _view("<c8")),
    DType("C128", "complex", 128, _view("<c16")),
)
BY_NAME = {dtype.name: dtype for dtype in DTYPES}
