"""int8 or fp8 weights with scales beside them: X.weight and X.weight_scale, which multiplies.

int-quantized, float-quantized and naive-quantized of compressed-tensors, with X.weight_zero_point
where int8 is not symmetric; fp8 checkpoints of vLLM and FBGEMM have the same names. Source:
compressors/naive_quantized/base.py of vllm-project/compressed-tensors.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netdistance.checkpoints.encodings.base import Encoded, Encoding, Floats, Stored, encoded
from netdistance.checkpoints.encodings.packed import Grid, RefusedError, refused, require_shape
from netdistance.checkpoints.encodings.scales import Layout, layout_of
from netdistance.checkpoints.encodings.scheme import Schemes

_SCALE, _ZEROS = "_scale", "_zero_point"
_LABELS = {"I8": "int8", "F8_E4M3": "fp8 e4m3", "F8_E5M2": "fp8 e5m2"}


def _find(stored: Stored) -> Iterator[Encoded]:
    for name in stored.with_suffix(".weight" + _SCALE):
        weight = stored.specs.get(name + ".weight")
        if weight is not None and weight.encoding in _LABELS:
            yield _encoded(stored, weight.name)


def _encoded(stored: Stored, name: str) -> Encoded:
    parts = tuple(part for part in (name, name + _SCALE, name + _ZEROS) if part in stored.specs)
    label = _LABELS[stored.specs[name].encoding]
    try:
        layout = _layout(stored, name, parts)
    except RefusedError as reason:
        return refused(stored, name, parts, label, str(reason))
    zeros = name + _ZEROS if name + _ZEROS in parts else None
    grid = Grid(layout.shape[1], layout.width, 8)

    def rows(first: int, last: int) -> Floats:
        whole = slice(first, last), slice(0, layout.shape[1])
        scales = grid.spread(layout.scales(stored, name + _SCALE, first, last))
        if not zeros:
            return stored.file.scaled_tile(name, *whole, scales)
        signed = stored.file.tile(name, *whole).astype(np.float32, copy=False)
        signed -= grid.spread(layout.scales(stored, zeros, first, last))
        signed *= scales
        return signed

    return encoded(
        stored,
        name,
        layout.shape,
        parts,
        label=f"{label}, {layout.label}{', zero points' if zeros else ''}",
        decoding="(code - zero point) x scale" if zeros else "code x scale",
        rows=rows,
    )


def _layout(stored: Stored, name: str, parts: tuple[str, ...]) -> Layout:
    shape = stored.specs[name].shape
    if len(shape) != 2 or 0 in shape:
        raise RefusedError(f"{name!r} has shape {shape}, expected a matrix")
    schemes = Schemes.of(stored)
    layout = layout_of(stored, name + _SCALE, (shape[0], shape[1]), schemes)
    if name + _ZEROS in parts:
        zeros = stored.specs[name + _ZEROS]
        if zeros.encoding not in _LABELS:
            raise RefusedError(f"{zeros.name!r} is {zeros.encoding}, expected I8")
        require_shape(stored, zeros.name, stored.specs[name + _SCALE].shape)
    elif stored.specs[name].encoding == "I8" and schemes.all_asymmetric:
        raise RefusedError(f"'{name}{_ZEROS}' is not in the file, and no weights are symmetric")
    return layout


SCALED = Encoding(
    "weight and scale",
    "https://github.com/vllm-project/compressed-tensors (naive_quantized)",
    _find,
)
