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

from netdistance.checkpoints.nibbles import nibble_pairs, two_floats

Kind = Literal["float", "integer", "bool", "complex"]
Specials = Literal["ieee", "fn", "fnuz", "none"]
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class DType:
    """One element type of the safetensors format, and how its bytes are decoded.

    `decode` is None for a type that is known to the format but has no decoder here. `scaled`, where
    there is one, takes bytes (R, C) and factors that broadcast to them, and gives the products with
    their numbers in fewer passes: the same float32.
    """

    name: str
    kind: Kind
    bits: int
    decode: Callable[[NDArray[np.uint8]], Array] | None
    scaled: Callable[[NDArray[np.uint8], Array], Array] | None = None


def _view(code: str) -> Callable[[NDArray[np.uint8]], Array]:
    return lambda raw: raw.view(np.dtype(code))


def _bfloat16(raw: NDArray[np.uint8]) -> Array:
    """float32 whose upper half is the bfloat16 and whose lower half is zero."""
    wide = raw.view("<u2").astype(np.uint32)
    np.left_shift(wide, 16, out=wide)
    return wide.view(np.float32)


@cache
def small_float_values(
    exponent_bits: int, mantissa_bits: int, bias: int, specials: Specials
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


# processors take 100 times as long for a subnormal number: one in so many of so many makes a
# look-up quicker
_FEW, _SAMPLE = 64, 1 << 12
# shifted at a time: 512 KiB of float32 stay in a cache of 1 MiB
_SHIFTED = 1 << 17


def _small_float(
    name: str, exponent_bits: int, mantissa_bits: int, bias: int, specials: Specials
) -> DType:
    shift, lift = 23 - mantissa_bits, np.full((1, 1), 2.0 ** (127 - bias), dtype=np.float32)
    body = np.int32((0x7F << shift) - (1 << 31))  # sign, exponent and mantissa once shifted
    least = np.uint8(2 << mantissa_bits)  # without its sign, twice the code that is not subnormal
    top = {"ieee": 1 << mantissa_bits, "fn": 1, "fnuz": 0, "none": 0}[specials]

    def shifted(codes: NDArray[np.uint8], factors: Array) -> Array:
        """Codes (R, C) as the bits of float32, whose exponent is too small by `lift`, x factors."""
        values = np.empty(codes.shape, dtype=np.float32)
        step = max(1, _SHIFTED // max(1, codes.shape[1]))
        for at in range(0, len(codes), step):
            part = values[at : at + step]
            bits = part.view(np.int32)
            # the sign comes into every bit above the code's
            np.copyto(bits, codes[at : at + step].view(np.int8))
            bits <<= shift
            bits &= body
            part *= factors[at : at + step] if len(factors) > 1 else factors
        return values

    def decode(raw: NDArray[np.uint8]) -> Array:
        table = small_float_values(exponent_bits, mantissa_bits, bias, specials)
        if _many_subnormal(raw, least):
            return table.take(raw, mode="clip")  # numpy need not look for codes out of range
        # a look-up of each element takes twice as long as shifting its bits
        values = shifted(raw[:, None], lift).reshape(-1)
        special = _special(raw, specials, top)
        values[special] = table[raw[special]]
        return values

    def scaled(codes: NDArray[np.uint8], factors: Array) -> Array:
        lifted = factors * lift  # exact, or infinite
        raw = codes.reshape(-1)
        plain = np.isfinite(lifted).all() and not _many_subnormal(raw, least)
        if not plain or _special(raw, specials, top).size:
            return decode(raw).reshape(codes.shape) * factors
        return shifted(codes, lifted)

    return DType(name, "float", 8, decode, scaled)


def _many_subnormal(raw: NDArray[np.uint8], least: np.uint8) -> bool:
    some = raw[:_SAMPLE] << 1
    found = np.count_nonzero(some < least) - np.count_nonzero(some == 0)
    return bool(found > some.size // _FEW)


def _special(raw: NDArray[np.uint8], specials: Specials, top: int) -> NDArray[np.intp]:
    """Where infinity and NaN are: the last `top` codes of either sign, or in "fnuz" minus zero."""
    if specials == "fnuz":
        return np.flatnonzero(raw == 0x80)
    some = raw.view(np.int8).max(initial=0) >= 0x80 - top or raw.max(initial=0) >= 0x100 - top
    return np.flatnonzero((raw & 0x7F) >= 0x80 - top) if some else np.empty(0, dtype=np.intp)


def _float8_e8m0(raw: NDArray[np.uint8]) -> Array:
    """2^(code - 127); code 255 is NaN (OCP microscaling specification 1.0, section 5.4.1)."""
    values = np.ldexp(1.0, raw.astype(np.int32) - 127)
    values[raw == 255] = np.nan
    return values


def _float4_e2m1(raw: NDArray[np.uint8]) -> Array:
    """Two values to a byte, the low nibble first."""
    return nibble_pairs(raw, _float4_pairs())


@cache
def _float4_pairs() -> NDArray[np.uint64]:
    return two_floats(small_float_values(2, 1, 1, "none"), first="low")


DTYPES: tuple[DType, ...] = (
    DType("F64", "float", 64, _view("<f8")),
    DType("F32", "float", 32, _view("<f4")),
    DType("F16", "float", 16, _view("<f2")),
    DType("BF16", "float", 16, _bfloat16),
    _small_float("F8_E4M3", 4, 3, 7, "fn"),
    _small_float("F8_E5M2", 5, 2, 15, "ieee"),
    _small_float("F8_E4M3FNUZ", 4, 3, 8, "fnuz"),
    _small_float("F8_E5M2FNUZ", 5, 2, 16, "fnuz"),
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
