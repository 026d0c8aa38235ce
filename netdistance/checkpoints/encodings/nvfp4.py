"""NVFP4 of compressed-tensors: 4-bit floats, a scale of F8_E4M3 for 16 inputs, and one for all.

X.weight_packed uint8 (outputs, inputs / 2), the low half first; X.weight_scale (outputs,
inputs / 16); X.weight_global_scale, by which the scales are divided. Source:
compressors/nvfp4 of vllm-project/compressed-tensors.
"""

from __future__ import annotations

from collections.abc import Iterator

from netdistance.checkpoints.dtypes import small_float_values
from netdistance.checkpoints.encodings.base import Encoded, Encoding, Floats, Stored, encoded
from netdistance.checkpoints.encodings.packed import RefusedError, refused, require_shape
from netdistance.checkpoints.nibbles import nibble_pairs, scale_runs, two_floats

_PACKED, _SCALE, _GLOBAL = ".weight_packed", ".weight_scale", ".weight_global_scale"
_GROUP = 16


def _find(stored: Stored) -> Iterator[Encoded]:
    for name in stored.with_suffix(_PACKED):
        if stored.specs[name + _PACKED].encoding == "U8":
            yield _encoded(stored, name)


def _encoded(stored: Stored, name: str) -> Encoded:
    own = (name + _PACKED, name + _SCALE, name + _GLOBAL)
    parts = tuple(part for part in own if part in stored.specs)
    try:
        outputs, inputs = _shape(stored, name)
    except RefusedError as reason:
        return refused(stored, f"{name}.weight", parts, "nvfp4", str(reason))
    pairs = two_floats(small_float_values(2, 1, 1, "none"), first="low")

    def rows(first: int, last: int) -> Floats:
        whole = stored.file.read(name + _GLOBAL).reshape(1, 1)
        codes = stored.file.tile(name + _PACKED, slice(first, last), slice(0, inputs // 2))
        scales = stored.file.tile(name + _SCALE, slice(first, last), slice(0, inputs // _GROUP))
        weights = nibble_pairs(codes.reshape(-1), pairs)
        scale_runs(weights, (scales / whole).reshape(-1), _GROUP)
        return weights.reshape(last - first, inputs)

    return encoded(
        stored,
        f"{name}.weight",
        (outputs, inputs),
        parts,
        label=f"nvfp4, groups of {_GROUP}",
        decoding="code x (scale of its group / global scale)",
        rows=rows,
    )


def _shape(stored: Stored, name: str) -> tuple[int, int]:
    for part, kind in ((_SCALE, "F8_E4M3"), (_GLOBAL, "F32")):
        spec = stored.specs.get(name + part)
        if spec is None:
            raise RefusedError(f"'{name}{part}' is not in the file")
        if spec.encoding != kind:
            why = "; MXFP4 is not decoded" if spec.encoding == "U8" else ""
            raise RefusedError(f"{spec.name!r} is {spec.encoding}, expected {kind}{why}")
    packed = stored.specs[name + _PACKED].shape
    if len(packed) != 2 or 0 in packed or packed[1] * 2 % _GROUP:
        raise RefusedError(f"'{name}{_PACKED}' has shape {packed}, expected groups of {_GROUP}")
    require_shape(stored, name + _SCALE, (packed[0], packed[1] * 2 // _GROUP))
    require_shape(stored, name + _GLOBAL, (1,))
    return packed[0], 2 * packed[1]


NVFP4 = Encoding("nvfp4", "https://github.com/vllm-project/compressed-tensors (nvfp4)", _find)
