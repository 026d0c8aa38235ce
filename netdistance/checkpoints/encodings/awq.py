"""AWQ GEMM: 4 bits, eight outputs interleaved in a word, a zero and a scale per group of inputs.

qweight int32 (inputs, outputs / 8), qzeros int32 (groups, outputs / 8), scales (groups, outputs).
Nibble i of a word, from the lowest, is output 0, 2, 4, 6, 1, 3, 5, 7 of its eight. Sources:
awq/modules/linear/gemm.py of casper-hansen/AutoAWQ; AutoAWQConverter of compressed-tensors.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netdistance.checkpoints.base import brief
from netdistance.checkpoints.encodings.base import Encoded, Encoding, Floats, Stored, encoded
from netdistance.checkpoints.encodings.packed import (
    Band,
    Bands,
    Codes,
    Grid,
    RefusedError,
    Words,
    refused,
    require_shape,
    turned,
)
from netdistance.checkpoints.encodings.qweight import Layer, group_of, layers

_OUTPUTS = (0, 2, 4, 6, 1, 3, 5, 7)
_BITS = 4


def _find(stored: Stored) -> Iterator[Encoded]:
    bands = Bands()
    for layer in layers(stored, awq=True):
        try:
            yield _encoded(layer, _group(layer), bands)
        except RefusedError as reason:
            yield refused(stored, f"{layer.name}.weight", layer.parts, "awq", str(reason))


def _group(layer: Layer) -> int:
    """How many inputs share a scale, once everything fits."""
    config = layer.stored.config
    version = config.get("version", "gemm")
    if not isinstance(version, str) or version.lower() != "gemm":
        raise RefusedError(f"AWQ's layout {brief(version)} is not decoded, only GEMM is")
    bits = config.get("bits", config.get("w_bit", _BITS))
    if type(bits) is not int or bits != _BITS:
        raise RefusedError(f"AWQ of {brief(bits)} bits is not decoded, only of 4")
    groups, outputs = layer.require_parts()
    inputs, words = layer.shape("qweight")
    if layer.is_gemv and 8 * words != outputs:
        raise RefusedError("AWQ's layout GEMV, by its shapes, is not decoded, only GEMM is")
    require_shape(layer.stored, f"{layer.name}.qweight", (inputs, outputs // 8))
    require_shape(layer.stored, f"{layer.name}.qzeros", (groups, outputs // 8))
    if outputs % 8:
        raise RefusedError(f"{outputs} outputs do not fill words of 8")
    return group_of(inputs, groups, config.get("group_size", config.get("q_group_size")))


def _encoded(layer: Layer, group: int, bands: Bands) -> Encoded:
    name, file = layer.name, layer.stored.file
    inputs, (groups, outputs) = layer.shape("qweight")[0], layer.shape("scales")
    grid = Grid(inputs, group, _BITS)

    def read(begin: int, end: int) -> Band:
        packed = file.tile(f"{name}.qzeros", slice(0, groups), slice(begin, end)).view(np.uint32)
        zeros = _outputs(packed.T).astype(np.int16).reshape(-1, 8, groups)
        scales = file.tile(f"{name}.scales", slice(0, groups), slice(8 * begin, 8 * end))
        turned_scales = scales.T.astype(np.float32, order="C").reshape(-1, 8, groups)
        return turned(file, f"{name}.qweight", begin, end), zeros, turned_scales

    def rows(first: int, last: int) -> Floats:
        begin, end = first // 8, -(-last // 8)
        words, zeros, scales = bands.of(name, (begin, end, outputs // 8), inputs, read)
        shape = -1, groups
        weights = grid.decoded(_outputs(words), zeros.reshape(shape), scales.reshape(shape))
        return weights[first - 8 * begin : last - 8 * begin]

    return encoded(
        layer.stored,
        f"{name}.weight",
        (outputs, inputs),
        layer.parts,
        label=f"awq 4-bit, groups of {group}",
        decoding="(code - zero) x scale of its group",
        rows=rows,
    )


def _outputs(words: Words) -> Codes:
    """Words (n, inputs) as the codes (8 n, inputs) of the outputs in them."""
    codes = np.empty((len(words), 8, words.shape[1]), dtype=np.uint8)
    for byte in range(4):
        pairs = (words >> np.uint32(8 * byte)).astype(np.uint8)
        np.bitwise_and(pairs, 15, out=codes[:, _OUTPUTS[2 * byte]])
        np.right_shift(pairs, 4, out=codes[:, _OUTPUTS[2 * byte + 1]])
    return codes.reshape(-1, words.shape[1])


AWQ = Encoding("awq", "https://github.com/casper-hansen/AutoAWQ (gemm.py)", _find)
