"""8-bit integers with the largest modulus of each row: `X.weight` and `X.SCB`, over 127.

`X.weight_format` has to be 0, row by row; the layouts of older GPUs (col32, col_turing, col_ampere)
are refused. Source: Linear8bitLt of bitsandbytes/nn/modules.py and int8_vectorwise_dequant of
bitsandbytes/_ops.py (0.50); Dettmers et al., LLM.int8(), arXiv 2208.07339.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netdistance.checkpoints.encodings.base import Encoded, Encoding, Floats, Stored, encoded

# the library multiplies by the reciprocal of 127, and so in float32
_OVER_127 = np.float32(7.874015718698502e-3)
# elements at a time: codes and values together stay in the L2 cache
_BAND = 1 << 16


def _find(stored: Stored) -> Iterator[Encoded]:
    for layer in stored.with_suffix(".SCB"):
        weight = stored.specs.get(f"{layer}.weight")
        if weight is not None and weight.encoding == "I8":
            yield _encoded(stored, layer)


def _encoded(stored: Stored, layer: str) -> Encoded:
    name, scale, layout = f"{layer}.weight", f"{layer}.SCB", f"{layer}.weight_format"
    shape, scales = stored.specs[name].shape, stored.specs[scale]
    why = None
    if len(shape) != 2 or scales.encoding != "F32" or scales.elements != shape[0]:
        why = f"{scale!r} is {scales.encoding} {scales.shape} and {name!r} is {shape}"
        why += ", expected a matrix and an F32 for each of its rows"
    elif layout in stored.specs and not _is_by_rows(stored, layout):
        why = f"{layout!r} is not 0: its numbers are laid out for one kind of GPU, not row by row"

    def rows(first: int, last: int) -> Floats:
        values: Floats = np.empty((last - first, shape[1]), dtype=np.float32)
        scale_of = stored.span(scale, first, last)[:, None]
        band = max(1, _BAND // max(1, shape[1]))
        for begin in range(0, last - first, band):
            own = slice(begin, min(begin + band, last - first))
            codes = stored.file.tile(
                name, slice(first + own.start, first + own.stop), slice(0, shape[1])
            )
            part = values[own]
            part[:] = codes
            part *= scale_of[own]
            part *= _OVER_127
        return values

    parts = (name, scale, layout) if layout in stored.specs else (name, scale)
    return encoded(
        stored,
        name,
        shape,
        parts,
        label="bitsandbytes int8, a scale per row",
        decoding="code x SCB of its row / 127",
        rows=rows,
        unreadable=why,
    )


def _is_by_rows(stored: Stored, layout: str) -> bool:
    spec = stored.specs[layout]
    return spec.elements == 1 and spec.unreadable is None and not stored.file.read(layout).any()


BITSANDBYTES_INT8 = Encoding(
    "bitsandbytes int8",
    "https://github.com/bitsandbytes-foundation/bitsandbytes (bitsandbytes/nn/modules.py)",
    _find,
)
