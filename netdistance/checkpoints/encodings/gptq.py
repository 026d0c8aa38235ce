"""GPTQ: 2, 3, 4 or 8 bits, packed along the inputs, a zero and a scale per group of inputs.

qweight int32 (inputs x bits / 32, outputs), qzeros int32 (groups, outputs x bits / 32), scales
(groups, outputs), g_idx int32 (inputs), which with act-order is not sorted. Version 1 stores each
zero less one. Sources: auto_gptq/nn_modules/qlinear/qlinear_cuda.py of AutoGPTQ/AutoGPTQ for the
layout, AutoGPTQ/AutoGPTQ#640 for version 2, vllm-project/vllm#38966 for files whose metadata says
version 1 while their zeros are those of version 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import brief
from netdistance.checkpoints.encodings.base import Encoded, Encoding, Floats, Stored, encoded
from netdistance.checkpoints.encodings.packed import (
    WORD,
    Band,
    Bands,
    Grid,
    RefusedError,
    refused,
    require_shape,
    turned,
    unpacked,
    words_for,
)
from netdistance.checkpoints.encodings.qweight import Layer, group_of, layers

_BITS = (2, 3, 4, 8)
_VERSIONS = {"gptq": 1, "gptq_v2": 2}
_FORMULAS = {1: "(code - (zero + 1)) x scale of its group", 2: "(code - zero) x scale of its group"}
# of the zeros: enough to tell the versions apart
_SAMPLE_WORDS = 4096


@dataclass(frozen=True, slots=True)
class _Plan:
    inputs: int
    outputs: int
    bits: int
    group: int
    version: int
    act_order: bool
    remarks: tuple[str, ...]

    @property
    def label(self) -> str:
        groups = f"groups of {self.group}" if self.group < self.inputs else "one group"
        order = ("act-order",) if self.act_order else ()
        return ", ".join((f"gptq {self.bits}-bit", groups, *order, *self.remarks))


def _find(stored: Stored) -> Iterator[Encoded]:
    bands = Bands()
    for layer in layers(stored, awq=False):
        try:
            yield _encoded(layer, _planned(layer), bands)
        except RefusedError as reason:
            yield refused(stored, f"{layer.name}.weight", layer.parts, "gptq", str(reason))


def _encoded(layer: Layer, plan: _Plan, bands: Bands) -> Encoded:
    name, file = layer.name, layer.stored.file
    every_group = slice(0, layer.shape("scales")[0])

    def read(first: int, last: int) -> Band:
        start = first // WORD * WORD  # where a word begins at any number of bits
        span = slice(start * plan.bits // WORD, words_for(last, plan.bits))
        packed = file.tile(f"{name}.qzeros", every_group, span).view(np.uint32)
        zeros = unpacked(packed, plan.bits, last - start)[:, first - start :].astype(np.int16)
        zeros += 2 - plan.version
        scales = file.tile(f"{name}.scales", every_group, slice(first, last)).astype(np.float32)
        return turned(file, f"{name}.qweight", first, last), zeros.T.copy(), scales.T.copy()

    def rows(first: int, last: int) -> Floats:
        span = first, last, plan.outputs
        words, zeros, scales = bands.of(name, span, layer.shape("qweight")[0], read)
        index = file.read(f"{name}.g_idx").astype(np.intp) if plan.act_order else None
        grid = Grid(plan.inputs, plan.group, plan.bits, index)
        return grid.decoded(unpacked(words, plan.bits, plan.inputs), zeros, scales)

    return encoded(
        layer.stored,
        f"{name}.weight",
        (plan.outputs, plan.inputs),
        layer.parts,
        label=plan.label,
        decoding=_FORMULAS[plan.version],
        rows=rows,
    )


def _planned(layer: Layer) -> _Plan:
    stored, name, config = layer.stored, layer.name, layer.stored.config
    groups, outputs = layer.require_parts()
    bits, is_told = _bits(layer, outputs)
    require_shape(stored, f"{name}.qzeros", (groups, words_for(outputs, bits)))
    inputs = _inputs(layer, bits)
    require_shape(stored, f"{name}.qweight", (words_for(inputs, bits), outputs))
    group = group_of(inputs, groups, None if _is_dynamic(config) else config.get("group_size"))
    version, remarks = _version(layer, bits)
    told = () if is_told else ("bits from the shapes",)
    act_order = _is_act_order(layer, groups, group)
    return _Plan(inputs, outputs, bits, group, version, act_order, (*told, *remarks))


def _is_dynamic(config: Any) -> bool:
    return bool(config.get("dynamic"))  # GPTQModel: some layers have bits and groups of their own


def _bits(layer: Layer, outputs: int) -> tuple[int, bool]:
    """How many bits a code has, and whether the configuration says so."""
    packed, zeros = layer.shape("qweight")[0], layer.shape("qzeros")[1]
    index = layer.shape("g_idx")
    fit = [
        bits
        for bits in _BITS
        if words_for(outputs, bits) == zeros
        and (
            words_for(index[0], bits) == packed
            if len(index) == 1 and index[0]
            else packed * WORD % bits == 0
        )
    ]
    said = layer.stored.config.get("bits")
    if type(said) is int and not _is_dynamic(layer.stored.config):
        if said in fit:
            return said, True
        held = f"those of {' or '.join(map(str, fit))} bits" if fit else "of no number of bits"
        raise RefusedError(f"the configuration says {said} bits, and the shapes are {held}")
    if len(fit) != 1:
        raise RefusedError(f"the shapes fit {brief(fit)} bits, and no configuration says which")
    return fit[0], False


def _inputs(layer: Layer, bits: int) -> int:
    index = f"{layer.name}.g_idx"
    if index not in layer.stored.specs or layer.shape("g_idx") == (0,):
        return layer.shape("qweight")[0] * WORD // bits
    if len(layer.shape("g_idx")) != 1 or layer.stored.specs[index].encoding not in ("I32", "I64"):
        raise RefusedError(f"{index!r} is not a list of groups")
    return layer.shape("g_idx")[0]


def _is_act_order(layer: Layer, groups: int, group: int) -> bool:
    """Whether g_idx says other groups than those of inputs in a row."""
    name, sorted_so_far, at = f"{layer.name}.g_idx", True, 0
    for block in layer.stored.file.blocks(name) if layer.shape("g_idx") else ():
        least, most = int(block.min()), int(block.max())
        if least < 0 or most >= groups:
            raise RefusedError(f"{name!r} holds {least if least < 0 else most}, of {groups} groups")
        plain = np.arange(at, at + block.size) // group
        sorted_so_far = sorted_so_far and np.array_equal(block, plain)
        at += block.size
    return not sorted_so_far


def _version(layer: Layer, bits: int) -> tuple[int, tuple[str, ...]]:
    """How the zeros are stored, by their values where those say, and what there is to remark."""
    config = layer.stored.config
    said = config.get("checkpoint_format")
    if said is not None and (not isinstance(said, str) or said not in _VERSIONS):
        raise RefusedError(f"checkpoint_format {brief(said)} is none of {', '.join(_VERSIONS)}")
    stated, symmetric = _VERSIONS.get(said or ""), config.get("sym")
    held = None if symmetric is False else _version_of(_some_zeros(layer, bits), bits)
    if held and stated and held != stated:
        return held, (f"zeros of version {held} though checkpoint_format says {stated}",)
    if symmetric is True and held is None:
        return stated or 1, ("sym is true and the zeros are not the middle",)
    if stated is None and held is None:
        return 1, ("version 1 assumed",)
    return held or stated or 1, ()


def _version_of(zeros: NDArray[np.uint8], bits: int) -> int | None:
    """Of symmetric weights every zero is the middle, 2^(bits - 1): it tells how it was stored."""
    middle = 1 << (bits - 1)
    for version, value in ((1, middle - 1), (2, middle)):
        if (zeros == value).all():
            return version
    return None


def _some_zeros(layer: Layer, bits: int) -> NDArray[np.uint8]:
    """Zeros of the first group."""
    span = slice(0, min(layer.shape("qzeros")[1], _SAMPLE_WORDS))
    words = layer.stored.file.tile(f"{layer.name}.qzeros", slice(0, 1), span).view(np.uint32)
    outputs = layer.shape("scales")[1]
    return unpacked(words, bits, min(outputs, span.stop * WORD // bits))


GPTQ = Encoding("gptq", "https://github.com/AutoGPTQ/AutoGPTQ (qlinear_cuda.py)", _find)
