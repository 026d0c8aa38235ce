"""How a compressed weight lies in a safetensors file: the layouts of the libraries that read it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.compression.base import Parts, Scheme, Shape
from netdistance.compression.removal import Pruned
from netdistance.compression.rounded import Rounded, packed_words
from netdistance.grids.floats import to_bfloat16
from netdistance.grids.formats import BLOCK, FP8
from netdistance.grids.integers import Symmetric
from netdistance.grids.quantiser import Cut, Quantiser
from netdistance.grids.tables import Table

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Slot:
    """One tensor of the file: its header entry, before anything of it is known."""

    name: str
    dtype: str
    shape: Shape
    nbytes: int


@dataclass(frozen=True, slots=True)
class Container:
    """A layout: the tensors that it makes of a weight, and their contents in the same order.

    `config` is what compressed-tensors calls the layout, where it is one of its own.
    """

    name: str
    slots: Callable[[str, Shape], tuple[Slot, ...]]
    arrays: Callable[[Parts, str, Shape], tuple[Array, ...]]
    config: str | None = None


def container_of(scheme: Scheme, name: str, shape: Shape, encoding: str) -> Container:
    """The layout that holds a weight of this name as the scheme makes it.

    Dense where no library's layout holds it: it is no matrix called weight, its rows are no whole
    number of groups, or the scheme leaves numbers out. `encoding` is how the weight is stored now.
    """
    is_linear = len(shape) == 2 and (name == "weight" or name.endswith(".weight"))
    if is_linear and isinstance(scheme, Rounded):
        match scheme.quantiser:
            case Quantiser(code=Symmetric(bits=8), cut=Cut(group=None)):
                return Container("int-quantized", _int_slots, _stored, "int-quantized")
            case Quantiser(code=Symmetric(bits=4 | 8 as bits), cut=Cut(group=int(group))) if (
                shape[1] % group == 0
            ):
                return _packed(bits, group)
            case quantiser if quantiser == FP8:
                return Container("float-quantized", _fp8_slots, _stored, "float-quantized")
            case Quantiser(code=Table() as table):
                return _bitsandbytes(scheme.name, table)
    return _dense(scheme, encoding)


def slot(name: str, dtype: str, shape: Shape, bits: int) -> Slot:
    """A slot of elements of so many bits."""
    return Slot(name, dtype, shape, math.prod(shape) * bits // 8)


def _int_slots(name: str, shape: Shape) -> tuple[Slot, ...]:
    return slot(name, "I8", shape, 8), slot(f"{name}_scale", "F32", (shape[0], 1), 32)


def _fp8_slots(name: str, shape: Shape) -> tuple[Slot, ...]:
    return slot(name, "F8_E4M3", shape, 8), slot(f"{name}_scale", "F32", (1,), 32)


def _stored(parts: Parts, name: str, shape: Shape) -> tuple[Array, ...]:
    return parts["codes"], parts["scale"]


def _packed(bits: int, group: int) -> Container:
    """compressed-tensors' pack-quantized: words of 32 bits, a scale per group, the true shape."""

    def slots(name: str, shape: Shape) -> tuple[Slot, ...]:
        words = -(-shape[1] * bits // 32)
        return (
            slot(f"{name}_packed", "I32", (shape[0], words), 32),
            slot(f"{name}_scale", "F32", (shape[0], shape[1] // group), 32),
            slot(f"{name}_shape", "I64", (2,), 64),
        )

    def arrays(parts: Parts, name: str, shape: Shape) -> tuple[Array, ...]:
        words = packed_words(parts["codes"], bits)
        return words, parts["scale"], np.array(shape, dtype="<i8")

    return Container("pack-quantized", slots, arrays, "pack-quantized")


def _bitsandbytes(kind: str, table: Table) -> Container:
    """The 4-bit state of bitsandbytes: two codes to a byte, the first in its upper half."""

    def state(shape: Shape) -> NDArray[np.uint8]:
        facts = {
            "quant_type": kind,
            "blocksize": BLOCK,
            "dtype": "float32",
            "shape": list(shape),
        }
        return np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)

    def slots(name: str, shape: Shape) -> tuple[Slot, ...]:
        elements, facts = math.prod(shape), state(shape)
        return (
            slot(name, "U8", (-(-elements // 2), 1), 8),
            slot(f"{name}.absmax", "F32", (-(-elements // BLOCK),), 32),
            slot(f"{name}.quant_map", "F32", (16,), 32),
            slot(f"{name}.quant_state.bitsandbytes__{kind}", "U8", facts.shape, 8),
        )

    def arrays(parts: Parts, name: str, shape: Shape) -> tuple[Array, ...]:
        codes = parts["codes"].reshape(-1)
        if codes.size % 2:
            codes = np.append(codes, np.uint8(0))
        pairs = (codes[0::2] << 4) | codes[1::2]
        return pairs, parts["scale"], table.numbers, state(shape)

    return Container(f"bitsandbytes {kind}", slots, arrays)


# what holds each number of a scheme exactly, where that is shorter than float32
_SHORTEST = {"bf16": "BF16", "mxfp4": "BF16", "fp16": "F16"}


def _dense(scheme: Scheme, encoding: str) -> Container:
    """The numbers themselves, in the shortest type that holds each of them exactly."""
    dtype = _SHORTEST.get(scheme.name, "F32")
    if isinstance(scheme, Pruned) and encoding in ("F16", "BF16"):
        dtype = encoding

    def slots(name: str, shape: Shape) -> tuple[Slot, ...]:
        return (slot(name, dtype, shape, STORED_BITS[dtype]),)

    def arrays(parts: Parts, name: str, shape: Shape) -> tuple[Array, ...]:
        return (as_stored(scheme.decode(parts, shape), dtype),)

    return Container(f"dense {dtype}", slots, arrays)


# the element types that are written as they are; a number of another is written as float32
STORED_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8,
    "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8, "C64": 64, "C128": 128,
}  # fmt: skip
_CODES = {"F": "<f", "I": "<i", "U": "<u", "C": "<c"}


def as_stored(values: Array, dtype: str) -> Array:
    """Numbers as the bytes of an element type that holds each of them exactly."""
    if dtype == "BF16":
        return to_bfloat16(values.astype(np.float32, copy=False))
    code = "?" if dtype == "BOOL" else f"{_CODES[dtype[0]]}{STORED_BITS[dtype] // 8}"
    return np.ascontiguousarray(values).astype(code, copy=False)
