"""Tensors of GGUF files that are not simply numbers: block types, and what a converter changed.

Types that are not in `gguf_legacy` or `gguf_k` are decoded by the `gguf` package, where it is
installed. Rows of q and k go back into Hugging Face's order before they are decoded: a row is made
of whole blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import TensorSpec
from netdistance.checkpoints.encodings.base import Encoded, Encoding, Floats, Stored
from netdistance.checkpoints.encodings.gguf_k import DECODERS as K_QUANTS
from netdistance.checkpoints.encodings.gguf_legacy import DECODERS as BLOCKS_OF_32
from netdistance.checkpoints.encodings.gguf_legacy import Bytes, Decode
from netdistance.checkpoints.gguf_file import GgufCheckpoint
from netdistance.checkpoints.gguf_names import Change
from netdistance.checkpoints.gguf_types import BY_TYPE_NAME, GgmlType

_OWN: Mapping[str, tuple[Decode, str]] = {**BLOCKS_OF_32, **K_QUANTS}
_PACKAGE = "gguf.quants.dequantize does"
# decoded at a time: enough that numpy's cost of a call vanishes
_CHUNK = 1 << 18
# bytes or numbers (rows, row) of a tensor, in Hugging Face's order
_Raw = Callable[[int, int], NDArray[Any]]


def _find(stored: Stored) -> Iterator[Encoded]:
    file = stored.file
    if not isinstance(file, GgufCheckpoint):
        return
    for name, spec in file.specs.items():
        change = file.names.change(name, spec.shape)
        kind = BY_TYPE_NAME.get(spec.encoding)
        if spec.unreadable is None and kind and (change is not None or not kind.is_plain):
            yield _encoded(file, spec, kind, change)


def _encoded(
    file: GgufCheckpoint, spec: TensorSpec, kind: GgmlType, change: Change | None
) -> Encoded:
    """The tensor once decoded; its rows are those of heads where they were permuted."""
    decode, how, unreadable = None, "", change.problem if change else None
    shape = spec.shape
    values = "F32" if spec.encoding in ("F16", "BF16") else spec.encoding
    if not kind.is_plain:
        shape = (*shape[:-1], shape[-1] // kind.nbytes * kind.block)
        values = "F32"
        decode, how, missing = _decoder(kind)
        unreadable = unreadable or missing
    if change is not None and change.problem is None:
        how = f"{how}, {change.undone}" if how else change.undone
    made = replace(spec, shape=shape, values=values, decoding=how)
    if unreadable is not None:
        return Encoded(replace(made, decoding=None, unreadable=unreadable), (spec.name,), None)
    width = math.prod(shape[1:]) if change and change.heads else kind.block
    raw = _raw(file, spec, width // kind.block * (1 if kind.is_plain else kind.nbytes))
    if change is not None and change.heads:
        raw = _in_order(raw, shape[0] // change.heads)

    def rows(first: int, last: int) -> Floats:
        found = raw(first, last)
        if decode is not None:
            found = _decoded(found, kind, decode).reshape(last - first, width)
        if change is not None and change.added:
            found = found - found.dtype.type(change.added)
        return found.astype(np.float32, copy=False) if values == "F32" else found

    return Encoded(made, (spec.name,), rows, None if change and change.heads else width)


def _raw(file: GgufCheckpoint, spec: TensorSpec, width: int) -> _Raw:
    """A reader of rows of `width` bytes or numbers."""

    def rows(first: int, last: int) -> NDArray[Any]:
        start, stop = first * width, min(last * width, spec.elements)
        (block,) = file.blocks(spec.name, start=start, stop=stop, size=stop - start)
        return block.reshape(-1, width)

    return rows


def _in_order(raw: _Raw, head: int) -> _Raw:
    """Rows in the order of Hugging Face: a head's halves one after the other, not in turn."""

    def rows(first: int, last: int) -> NDArray[Any]:
        begin, end = first // head, -(-last // head)
        stored = raw(begin * head, end * head)
        turned = stored.reshape(end - begin, head // 2, 2, -1).swapaxes(1, 2)
        return turned.reshape(stored.shape)[first - begin * head : last - begin * head]

    return rows


def _decoded(raw: Bytes, kind: GgmlType, decode: Decode) -> Floats:
    blocks = raw.reshape(-1, kind.nbytes)
    numbers = np.empty((len(blocks), kind.block), dtype=np.float32)
    step = _CHUNK // kind.block
    with np.errstate(all="ignore"):  # a scale may be infinite or NaN: the products say so
        for begin in range(0, len(blocks), step):
            decode(blocks[begin : begin + step], numbers[begin : begin + step])
    return numbers


def _decoder(kind: GgmlType) -> tuple[Decode | None, str, str | None]:
    """What decodes a type, how, and why nothing does."""
    if kind.name in _OWN:
        return *_OWN[kind.name], None
    decode, problem = _of_package(kind)
    return decode, _PACKAGE, problem


@cache
def _of_package(kind: GgmlType) -> tuple[Decode | None, str | None]:
    """The package's decoder, or why there is none."""
    try:
        from gguf import GGMLQuantizationType, quants
    except ImportError:
        return None, f"{kind.name} needs pip install 'netdistance[gguf]'"
    try:
        theirs = GGMLQuantizationType(kind.code)
        quants.dequantize(np.zeros((1, kind.nbytes), dtype=np.uint8), theirs)
    except (NotImplementedError, ValueError):
        return None, f"{kind.name} has no decoder, neither here nor in the gguf package"

    def decode(blocks: Bytes, out: Floats) -> None:
        # it cuts rows into groups of 16: one long row is one group
        out[:] = quants.dequantize(blocks.reshape(1, -1), theirs).reshape(out.shape)

    return decode, None


GGUF_BLOCKS = Encoding(
    "gguf blocks", "https://github.com/ggml-org/ggml/blob/master/docs/gguf.md", _find
)
