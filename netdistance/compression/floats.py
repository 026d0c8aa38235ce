"""Shorter floating point: bf16, fp16, and fp8 with one scale for the tensor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.dtypes import BY_NAME, small_float_values
from netdistance.compression.base import (
    Floats,
    Parts,
    Shape,
    as_rows,
    bands,
    bounds_to_even,
    nearest_codes,
)
from netdistance.linalg.rounding_sums import FP8_TOP


def to_bfloat16(weight: Floats) -> NDArray[np.uint16]:
    """The upper half of each float32, rounded to nearest, ties to even; the weight is finite."""
    bits = np.ascontiguousarray(weight).view(np.uint32)
    # below half a step nothing is carried, and at half one where the last kept bit is 1
    return ((bits + (np.uint32(0x7FFF) + (bits >> 16 & np.uint32(1)))) >> 16).astype(np.uint16)


def from_bfloat16(codes: NDArray[np.uint16]) -> Floats:
    """The float32 whose upper halves these are."""
    decode = BY_NAME["BF16"].decode
    assert decode is not None
    return decode(np.ascontiguousarray(codes).view(np.uint8).reshape(-1))


@dataclass(frozen=True, slots=True)
class BFloat16:
    """8 significant bits, the range of float32."""

    name: str = "bf16"
    source: str = "the upper half of a float32, ties to even"
    floor: str | None = "bf16"
    rounds: bool = True

    def encode(self, weight: Floats) -> Parts:
        """As Scheme.encode."""
        return {"codes": to_bfloat16(weight)}

    def decode(self, parts: Parts, shape: Shape) -> Floats:
        """As Scheme.decode."""
        return from_bfloat16(parts["codes"]).reshape(shape)

    def bits(self, shape: Shape, held: int) -> int:
        """As Scheme.bits."""
        return 16 * math.prod(shape)


@dataclass(frozen=True, slots=True)
class Float16:
    """11 significant bits; beyond 65504 a number becomes infinite."""

    name: str = "fp16"
    source: str = "IEEE 754 binary16, ties to even"
    floor: str | None = None
    rounds: bool = True

    def encode(self, weight: Floats) -> Parts:
        """As Scheme.encode."""
        with np.errstate(over="ignore", under="ignore"):
            return {"codes": weight.astype(np.float16)}

    def decode(self, parts: Parts, shape: Shape) -> Floats:
        """As Scheme.decode."""
        return parts["codes"].astype(np.float32).reshape(shape)

    def bits(self, shape: Shape, held: int) -> int:
        """As Scheme.bits."""
        return 16 * math.prod(shape)


@dataclass(frozen=True, slots=True)
class Float8:
    """fp8 e4m3, the tensor scaled so that its largest element is 448; ties to even."""

    name: str = "fp8"
    source: str = "OCP 8-bit floating point specification 1.0; one scale, max / 448"
    floor: str | None = "fp8"
    rounds: bool = True

    def encode(self, weight: Floats) -> Parts:
        """As Scheme.encode."""
        rows = as_rows(weight)
        largest = max(float(weight.max()), -float(weight.min()))
        scale = np.float32(largest) / np.float32(FP8_TOP)
        # code 127 is NaN; what lies above 448 by the rounding of the scale goes to 448
        nearest = nearest_codes(bounds_to_even(small_float_values(4, 3, 7, "fn")[:127]))
        codes = np.empty(rows.shape, dtype=np.uint8)
        for band in bands(*rows.shape):
            scaled = rows[band] / (scale if scale > 0.0 else np.float32(np.inf))
            codes[band] = nearest(np.abs(scaled))
            codes[band] |= np.signbit(scaled).astype(np.uint8) << 7
        return {"codes": codes, "scale": np.array([scale], dtype=np.float32)}

    def decode(self, parts: Parts, shape: Shape) -> Floats:
        """As Scheme.decode."""
        values: Floats = small_float_values(4, 3, 7, "fn")[parts["codes"]]
        values *= parts["scale"][0]
        return values.reshape(shape)

    def bits(self, shape: Shape, held: int) -> int:
        """As Scheme.bits."""
        return 8 * math.prod(shape) + 32
