"""4-bit codes into a table of 16 values, with the largest modulus of each block: nf4 and fp4.

`X.weight` holds two codes to a byte, the high nibble first, of the tensor read row by row; beside
it stand `.absmax` (one for each block), `.quant_map` (the 16 values) and
`.quant_state.bitsandbytes__nf4` or `__fp4`: JSON with shape, dtype and blocksize. With double
quantisation absmax is 8-bit codes into `.nested_quant_map`, scaled by `.nested_absmax` for each
`nested_blocksize` of them, plus `nested_offset`. Source: QuantState and dequantize_4bit of
bitsandbytes/functional.py (0.50); Dettmers et al., QLoRA, arXiv 2305.14314.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netdistance.checkpoints.encodings.base import Encoded, Encoding, Floats, Stored, encoded
from netdistance.checkpoints.encodings.bitsandbytes_state import QuantState, quant_state
from netdistance.checkpoints.nibbles import nibble_pairs, scale_runs, two_floats
from netdistance.errors import CheckpointError

_KINDS = ("nf4", "fp4")
_DECODING = "table[code] x absmax of its block"
_NESTED_DECODING = f"{_DECODING}; absmax = table[code] x scale + offset"


def _find(stored: Stored) -> Iterator[Encoded]:
    for kind in _KINDS:
        for name in stored.with_suffix(f".quant_state.bitsandbytes__{kind}"):
            if name in stored.specs:
                yield _encoded(stored, name, kind)


def _encoded(stored: Stored, name: str, kind: str) -> Encoded:
    own = ("absmax", "quant_map", "nested_absmax", "nested_quant_map")
    beside = (f"{name}.{part}" for part in (*own, f"quant_state.bitsandbytes__{kind}"))
    parts = (name, *(part for part in beside if part in stored.specs))
    nested = f"{name}.nested_absmax" in parts
    try:
        state = quant_state(stored, name, parts[-1], nested=nested)
    except CheckpointError as error:
        return encoded(
            stored,
            name,
            stored.specs[name].shape,
            parts,
            label=f"bitsandbytes {kind}",
            decoding=_DECODING,
            unreadable=str(error.args[1]),
        )
    return encoded(
        stored,
        name,
        state.shape,
        parts,
        label=f"bitsandbytes {kind}, blocks of {state.block}{', nested' if nested else ''}",
        decoding=_NESTED_DECODING if nested else _DECODING,
        rows=_Packed(stored, name, state).numbers,
        width=1,  # blocks run on over the ends of rows
    )


class _Packed:
    """One tensor's codes; what is small of it is read when the first row is."""

    def __init__(self, stored: Stored, name: str, state: QuantState) -> None:
        self._stored, self._name, self._state = stored, name, state

    def numbers(self, start: int, stop: int) -> Floats:
        """As Rows, of one number each: the blocks that hold them are decoded whole."""
        block = self._state.block
        bands = range(start // block, -(-stop // block))
        table = two_floats(self._stored.span(f"{self._name}.quant_map", 0, 16), first="high")
        end = min(bands.stop * block // 2, self._stored.specs[self._name].elements)
        codes = self._stored.span(self._name, bands.start * block // 2, end)
        values = nibble_pairs(codes, table)
        scale_runs(values, self._absmax(bands), block)
        return values[start - bands.start * block : stop - bands.start * block, None]

    def _absmax(self, blocks: range) -> Floats:
        stored = self._stored.span(f"{self._name}.absmax", blocks.start, blocks.stop)
        nested = self._state.nested
        if nested is None:
            return stored.astype(np.float32, copy=False)
        first = blocks.start // nested.block
        last = -(-blocks.stop // nested.block)
        scales = self._stored.span(f"{self._name}.nested_absmax", first, last)
        table: Floats = self._stored.span(f"{self._name}.nested_quant_map", 0, 256)
        place = np.arange(blocks.start, blocks.stop) // nested.block - first
        absmax: Floats = table[stored] * scales[place] + np.float32(nested.offset)
        return absmax


BITSANDBYTES_4BIT = Encoding(
    "bitsandbytes 4-bit",
    "https://github.com/bitsandbytes-foundation/bitsandbytes (bitsandbytes/functional.py)",
    _find,
)
