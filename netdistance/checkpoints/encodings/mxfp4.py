"""4-bit floats in blocks of 32 with a power of two for each: the weights of gpt-oss.

`X_blocks` (experts, rows, groups, 16) holds two E2M1 codes to a byte, the low nibble first, and
`X_scales` (experts, rows, groups) E8M0 codes: 2^(code - 127), 255 is NaN. They stand for `X` as the
bfloat16 checkpoints of the model have it, (experts, columns, rows): transposed, as transformers
loads it. Without the axis of the experts X is (rows, columns). `X.blocks` and `X.scales`, the names
of the original release, stand for (experts, rows, columns). Source: OCP Microscaling Formats 1.0,
sections 5.3.3 and 5.4.1; https://huggingface.co/openai/gpt-oss-20b.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.dtypes import small_float_values
from netdistance.checkpoints.encodings.base import Encoded, Encoding, Floats, Stored, encoded
from netdistance.checkpoints.encodings.packed import Band, Bands
from netdistance.checkpoints.nibbles import nibble_pairs, scale_runs, two_floats

_GROUP, _BYTES = 32, 16
# bytes at a time, and the part of a row from which on the whole of it is read
_READ, _LEAST_PART = 1 << 20, 256
_E8M0 = np.append(np.ldexp(1.0, np.arange(255) - 127), np.nan).astype(np.float32)
_E2M1 = small_float_values(2, 1, 1, "none")
# of a byte, the value of either half
_LOW, _HIGH = _E2M1[np.arange(256) & 0xF], _E2M1[np.arange(256) >> 4]
_LABEL = "mxfp4, a scale per 32"
_DECODING = "e2m1 code x 2^(scale - 127)"


def _find(stored: Stored) -> Iterator[Encoded]:
    bands = Bands()
    for mark in ("_", "."):
        for name in stored.with_suffix(f"{mark}blocks"):
            blocks, scales = f"{name}{mark}blocks", f"{name}{mark}scales"
            if scales in stored.specs:
                yield _encoded(stored, name, (blocks, scales), bands if mark == "_" else None)


def _encoded(stored: Stored, name: str, parts: tuple[str, str], bands: Bands | None) -> Encoded:
    """The tensor, transposed where there are `bands` to hold what was read beside its rows."""
    blocks, scales = (stored.specs[part] for part in parts)
    why = None
    if len(blocks.shape) not in (3, 4) or blocks.shape[-1] != _BYTES or blocks.encoding != "U8":
        why = f"{blocks.name!r} is {blocks.encoding} {blocks.shape}, expected U8 (rows, groups, 16)"
    elif scales.shape != blocks.shape[:-1] or scales.encoding not in ("U8", "F8_E8M0"):
        why = (
            f"{scales.name!r} is {scales.encoding} {scales.shape}, expected U8 {blocks.shape[:-1]}"
        )
    if why is not None:
        shape = blocks.shape
        return encoded(stored, name, shape, parts, label=_LABEL, decoding=_DECODING, unreadable=why)
    *experts, rows, groups, _ = blocks.shape
    packed = _Packed(stored, parts, rows, groups)
    own, read = (rows, groups * _GROUP), packed.as_stored
    if bands is not None and len(experts) == 1:
        own, read = (groups * _GROUP, rows), partial(packed.transposed, bands)
    shape = (*experts, *own)
    return encoded(
        stored, name, shape, parts, label=_LABEL, decoding=_DECODING, rows=read, width=own[1]
    )


class _Packed:
    """The codes and scales of one tensor, `rows` of `groups` for each expert."""

    def __init__(self, stored: Stored, parts: tuple[str, str], rows: int, groups: int) -> None:
        self._file, (self._blocks, self._scales) = stored.file, parts
        self._rows, self._groups = rows, groups
        self._is_float = stored.specs[self._scales].encoding != "U8"
        self._pairs = two_floats(_E2M1, first="low")

    def as_stored(self, first: int, last: int) -> Floats:
        """Rows of all experts one below the other, (last - first, columns)."""
        scale = self._scale(slice(first, last), slice(0, self._groups))
        codes = self._codes(slice(first, last), slice(0, self._groups))
        values = nibble_pairs(codes.reshape(-1), self._pairs)
        with np.errstate(invalid="ignore", over="ignore"):
            scale_runs(values, scale.reshape(-1), _GROUP)
        return values.reshape(last - first, -1)

    def transposed(self, bands: Bands, first: int, last: int) -> Floats:
        """Columns of all experts one below the other, (last - first, rows)."""
        columns = self._groups * _GROUP
        tile: Floats = np.empty((last - first, self._rows), dtype=np.float32)
        at = first
        while at < last:
            expert = at // columns
            stop = min(last, (expert + 1) * columns)
            own = range(at - expert * columns, stop - expert * columns)
            self._columns_of(bands, expert, own, tile[at - first : stop - first])
            at = stop
        return tile

    def _columns_of(self, bands: Bands, expert: int, columns: range, tile: Floats) -> None:
        rows = slice(expert * self._rows, (expert + 1) * self._rows)
        groups = range(columns.start // _GROUP, math.ceil(columns.stop / _GROUP))

        def read(first: int, last: int) -> Band:
            codes = np.empty((last - first, self._rows, _BYTES), dtype=np.uint8)
            for at in range(0, self._rows, step := max(1, _READ // (self._groups * _BYTES))):
                own = slice(rows.start + at, min(rows.start + at + step, rows.stop))
                part = self._codes(own, slice(first, last)).reshape(-1, last - first, _BYTES)
                codes[:, at : at + step] = part.swapaxes(0, 1)
            return codes, self._scale(rows, slice(first, last)).T.copy()

        span = groups.start, groups.stop, self._groups
        name, words = f"{self._blocks} of {expert}", self._rows * _BYTES // 4
        codes, scale = bands.of(name, span, words, read)
        for group in groups:
            index = codes[group - groups.start].T.astype(np.intp, order="C")
            whole = range(group * _GROUP, (group + 1) * _GROUP)
            inside = slice(max(columns.start, whole.start), min(columns.stop, whole.stop))
            into = tile[inside.start - columns.start : inside.stop - columns.start]
            own = scale[group - groups.start]
            for half, values in enumerate((_LOW, _HIGH)):
                found = values.take(index, mode="clip")  # clip: no code is out of range
                skipped = (inside.start - whole.start + half) % 2
                first = (inside.start - whole.start + 1 - half) // 2
                target = into[skipped::2]
                np.multiply(found[first : first + len(target)], own, out=target)

    def _codes(self, rows: slice, groups: slice) -> NDArray[np.uint8]:
        return self._strip(self._blocks, rows, groups, _BYTES)

    def _scale(self, rows: slice, groups: slice) -> Floats:
        found = self._strip(self._scales, rows, groups, 1)
        return found.astype(np.float32) if self._is_float else _E8M0[found]

    def _strip(self, name: str, rows: slice, groups: slice, item: int) -> NDArray[Any]:
        """A rectangle, of whole rows that are cut: a read for each row costs 10 times as much."""
        width, span = self._groups * item, slice(groups.start * item, groups.stop * item)
        if (groups.stop - groups.start) * _LEAST_PART < self._groups:
            return self._file.tile(name, rows, span, width=width)
        parts = []
        for first in range(rows.start, rows.stop, band := max(1, _READ // width)):
            own = slice(first, min(first + band, rows.stop))
            parts.append(self._file.tile(name, own, slice(0, width), width=width)[:, span])
        return np.concatenate(parts)


MXFP4 = Encoding("mxfp4", "https://huggingface.co/openai/gpt-oss-20b", _find)
