"""What stands beside 4-bit codes of bitsandbytes, believed only where it fits the codes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from netdistance.checkpoints.base import MAX_ELEMENTS, brief
from netdistance.checkpoints.encodings.base import Stored
from netdistance.checkpoints.json_text import json_object
from netdistance.errors import CheckpointError

# the ones that dequantize_4bit takes
_BLOCKS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
_DTYPES = ("float32", "float16", "bfloat16")
# a few hundred bytes where the library wrote it
_MOST_JSON = 1 << 16
_MOST_AXES = 64


@dataclass(frozen=True, slots=True)
class Nested:
    """How absmax is stored where it is quantised too."""

    block: int
    offset: float


@dataclass(frozen=True, slots=True)
class QuantState:
    """The shape of the tensor, and how many numbers share an absmax."""

    shape: tuple[int, ...]
    block: int
    nested: Nested | None


def quant_state(stored: Stored, weight: str, state: str, *, nested: bool) -> QuantState:
    """The state in the tensor `state`, checked against the shapes of all parts of `weight`.

    Raises:
        CheckpointError: it is not JSON, or says what does not fit the other parts.
    """
    found = _json(stored, state)

    def refuse(what: str) -> CheckpointError:
        return CheckpointError(stored.file.path, what, tensor=weight)

    shape, block = found.get("shape"), found.get("blocksize")
    if not isinstance(shape, list) or not all(_is_size(n, least=0) for n in shape):
        raise refuse(f"shape in {state!r} is {brief(shape)}, expected a list of sizes")
    packed = stored.specs[weight]
    elements = math.prod(shape) if len(shape) <= _MOST_AXES else -1
    if packed.encoding != "U8" or (elements + 1) // 2 != packed.elements:
        raise refuse(
            f"shape {brief(shape)} needs {(elements + 1) // 2} bytes of two codes, "
            f"{weight!r} is {packed.encoding} {packed.shape}"
        )
    if type(block) is not int or block not in _BLOCKS:
        raise refuse(f"blocksize in {state!r} is {brief(block)}, expected one of {_BLOCKS}")
    if found.get("dtype") not in _DTYPES:
        raise refuse(f"dtype in {state!r} is {brief(found.get('dtype'))}, expected {_DTYPES}")
    blocks = -(-elements // block)
    _require(stored, weight, "quant_map", 16, ("F32",))
    _require(stored, weight, "absmax", blocks, ("U8",) if nested else ("F32", "F16", "BF16"))
    return QuantState(tuple(shape), block, _nested(stored, weight, found, blocks, nested))


def _nested(
    stored: Stored, weight: str, found: Mapping[str, Any], blocks: int, nested: bool
) -> Nested | None:
    if not nested:
        return None
    block: Any = found.get("nested_blocksize")
    offset: Any = found.get("nested_offset")
    what = None
    if not _is_size(block, least=1):
        what = f"nested_blocksize is {brief(block)}, expected a size above 0"
    elif type(offset) not in (int, float) or not -1e38 < offset < 1e38:
        what = f"nested_offset is {brief(offset)}, expected a finite float32"
    elif found.get("nested_dtype") != "float32":
        what = f"nested_dtype is {brief(found.get('nested_dtype'))}, expected float32"
    if what is not None:
        raise CheckpointError(stored.file.path, what, tensor=weight)
    _require(stored, weight, "nested_absmax", -(-blocks // block), ("F32",))
    _require(stored, weight, "nested_quant_map", 256, ("F32",))
    return Nested(block, float(offset))


def _require(
    stored: Stored, weight: str, part: str, elements: int, encodings: tuple[str, ...]
) -> None:
    """Raise CheckpointError unless the part is there with so many numbers of such a type."""
    spec = stored.specs.get(f"{weight}.{part}")
    if spec is None:
        what = f"there is no {f'{weight}.{part}'!r}"
    elif spec.elements != elements or spec.encoding not in encodings:
        expected = f"{elements} of {' or '.join(encodings)}"
        what = f"{spec.name!r} is {spec.encoding} {spec.shape}, expected {expected}"
    else:
        return
    raise CheckpointError(stored.file.path, what, tensor=weight)


def _json(stored: Stored, state: str) -> dict[str, Any]:
    spec, path = stored.specs[state], stored.file.path
    if spec.encoding != "U8" or spec.elements > _MOST_JSON:
        what = f"{state!r} is {spec.encoding} of {spec.elements} elements, expected JSON as U8"
        raise CheckpointError(path, what, tensor=state)
    return json_object(stored.file.read(state).tobytes(), path, f"invalid {state!r}")


def _is_size(value: object, *, least: int) -> bool:
    # bool is an int in Python, and true is no size
    return type(value) is int and least <= value <= MAX_ELEMENTS
