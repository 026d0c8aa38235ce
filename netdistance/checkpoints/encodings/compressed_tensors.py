"""compressed-tensors: integers packed into words, and int8 or fp8 weights with scales.

pack-quantized has X.weight_packed int32 (outputs, inputs x bits / 32), X.weight_scale,
X.weight_shape and, where it is not symmetric, X.weight_zero_point packed down the outputs;
int-quantized, float-quantized and naive-quantized have X.weight of int8 or F8_E4M3. Source:
compressors/pack_quantized and compressors/naive_quantized of vllm-project/compressed-tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import brief
from netdistance.checkpoints.encodings.base import Encoded, Encoding, Floats, Stored, encoded
from netdistance.checkpoints.encodings.packed import (
    WORD,
    Grid,
    RefusedError,
    refused,
    require_readable,
    require_shape,
    unpacked,
    words_for,
)
from netdistance.checkpoints.encodings.scales import Layout, layout_of
from netdistance.checkpoints.encodings.scheme import Schemes
from netdistance.checkpoints.encodings.sparse import sparse

_PACKED = ".weight_packed"
_COMPANIONS = ("weight_scale", "weight_shape", "weight_zero_point", "weight_g_idx")
# at these, numbers do not run on into the next word, which releases differ in
_BITS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class _Packed:
    stored: Stored
    name: str
    bits: int
    layout: Layout
    zeros: str | None  # the tensor that has them
    index: str | None

    @property
    def label(self) -> str:
        zeros = ", zero points" if self.zeros else ""
        order = ", act-order" if self.index else ""
        return f"pack-quantized int{self.bits}, {self.layout.label}{zeros}{order}"

    def rows(self, first: int, last: int) -> Floats:
        columns, file = self.layout.shape[1], self.stored.file
        span = slice(0, words_for(columns, self.bits))
        words = file.tile(self.name + _PACKED, slice(first, last), span).view(np.uint32)
        scales = self.layout.scales(self.stored, f"{self.name}.weight_scale", first, last)
        index = file.read(self.index).astype(np.intp) if self.index else None
        grid = Grid(columns, self.layout.width, self.bits, index)
        return grid.decoded(unpacked(words, self.bits, columns), self._zeros(first, last), scales)

    def _zeros(self, first: int, last: int) -> NDArray[np.int16]:
        """Zero points as they are packed, 2^(bits - 1) above what they mean, as the codes are."""
        middle = 1 << (self.bits - 1)
        if self.zeros is None:
            return np.full((last - first, 1), middle, dtype=np.int16)
        if self.stored.specs[self.zeros].encoding == "I8":
            plain = self.layout.rows(self.stored, self.zeros, first, last).astype(np.int16)
            return plain + np.int16(middle)
        start = first // WORD * WORD
        span = slice(start * self.bits // WORD, words_for(last, self.bits))
        words = self.stored.file.tile(self.zeros, span, slice(0, self.layout.grid[1]))
        codes = unpacked(words.view(np.uint32).T, self.bits, last - start)[:, first - start :]
        return codes.T.astype(np.int16)


def _find(stored: Stored) -> Iterator[Encoded]:
    yield from sparse(stored)  # first: marlin-24 has a weight_packed too
    for name in stored.with_suffix(_PACKED):
        if stored.specs[name + _PACKED].encoding == "I32":
            yield _of_packed(stored, name)


def _of_packed(stored: Stored, name: str) -> Encoded:
    own = (name + _PACKED, *(f"{name}.{part}" for part in _COMPANIONS))
    parts = tuple(part for part in own if part in stored.specs)
    try:
        require_readable(stored, parts)
        packed = _planned(stored, name)
    except RefusedError as reason:
        return refused(stored, f"{name}.weight", parts, "pack-quantized", str(reason))
    return encoded(
        stored,
        f"{name}.weight",
        packed.layout.shape,
        parts,
        label=packed.label,
        decoding="(code - zero point) x scale" if packed.zeros else "code x scale",
        rows=packed.rows,
    )


def _planned(stored: Stored, name: str) -> _Packed:
    for part in ("weight_scale", "weight_shape"):
        if f"{name}.{part}" not in stored.specs:
            raise RefusedError(f"'{name}.{part}' is not in the file")
    schemes, shape = Schemes.of(stored), _shape(stored, name)
    layout = layout_of(stored, f"{name}.weight_scale", shape, schemes)
    if layout.height > 1 and layout.height < shape[0]:
        raise RefusedError(f"'{name}.weight_scale' is of blocks, which packed weights have not")
    bits = _bits(stored, name, shape, schemes)
    zeros = _zero_point(stored, name, layout, bits, schemes)
    return _Packed(stored, name, bits, layout, zeros, _index(stored, name, layout))


def _shape(stored: Stored, name: str) -> tuple[int, int]:
    """What weight_shape holds, which the packed tensor has to agree with."""
    spec, packed = stored.specs[f"{name}.weight_shape"], stored.specs[name + _PACKED].shape
    if spec.encoding not in ("I64", "I32") or spec.shape != (2,):
        raise RefusedError(f"{spec.name!r} is {spec.encoding} {spec.shape}, expected two integers")
    if len(packed) != 2 or 0 in packed:
        raise RefusedError(f"'{name}{_PACKED}' has shape {packed}, expected a matrix")
    outputs, inputs = map(int, stored.file.read(spec.name))
    fits = outputs == packed[0] and inputs in range(1, packed[1] * WORD + 1)
    if not fits:
        raise RefusedError(f"{spec.name!r} says {(outputs, inputs)}, the packed tensor is {packed}")
    return outputs, inputs


def _bits(stored: Stored, name: str, shape: tuple[int, int], schemes: Schemes) -> int:
    words, said = stored.specs[name + _PACKED].shape[1], schemes.sizes("num_bits")
    fit = [bits for bits in _BITS if words_for(shape[1], bits) == words]
    chosen = [bits for bits in fit if bits in said or not said]
    if len(chosen) == 1:
        return chosen[0]
    held = f"{shape[1]} inputs in {words} words fit {brief(fit)} bits"
    says = f"the configuration says {sorted(said)}" if said else "no configuration says which"
    raise RefusedError(f"{held}, and {says}")


def _zero_point(
    stored: Stored, name: str, layout: Layout, bits: int, schemes: Schemes
) -> str | None:
    zeros = f"{name}.weight_zero_point"
    if zeros not in stored.specs:
        if schemes.all_asymmetric:
            raise RefusedError(f"{zeros!r} is not in the file, and no weights are symmetric")
        return None
    if stored.specs[zeros].encoding == "I8":  # as older releases wrote it, and per tensor
        require_shape(stored, zeros, stored.specs[f"{name}.weight_scale"].shape)
        return zeros
    if stored.specs[zeros].encoding != "I32" or layout.height > 1:
        raise RefusedError(f"{zeros!r} is {stored.specs[zeros].encoding}, expected packed I32")
    require_shape(stored, zeros, (words_for(layout.shape[0], bits), layout.grid[1]))
    return zeros


def _index(stored: Stored, name: str, layout: Layout) -> str | None:
    """The tensor that says which group a column is of, where it does not follow the columns."""
    index, groups = f"{name}.weight_g_idx", layout.grid[1]
    if index not in stored.specs:
        return None
    if stored.specs[index].encoding not in ("I32", "I64"):
        raise RefusedError(f"{index!r} is {stored.specs[index].encoding}, expected integers")
    require_shape(stored, index, layout.shape[1:])
    least, most, in_order, at = groups, -1, True, 0
    for block in stored.file.blocks(index):
        least, most = min(least, int(block.min())), max(most, int(block.max()))
        plain = np.arange(at, at + block.size) // layout.width
        in_order, at = in_order and np.array_equal(block, plain), at + block.size
    if least == most == -1 or in_order:  # -1: never filled in
        return None
    if least < 0 or most >= groups:
        raise RefusedError(f"{index!r} holds {least if least < 0 else most}, of {groups} groups")
    return index


COMPRESSED_TENSORS = Encoding(
    "compressed-tensors packed", "https://github.com/vllm-project/compressed-tensors", _find
)
