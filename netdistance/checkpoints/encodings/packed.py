"""Integers packed into 32-bit words, and the weights that a zero and a scale make of them.

A packed row is one stream of bits from the lowest of its first word on: number i begins at bit
i x bits, and may run on into the next word (auto_gptq/nn_modules/qlinear/qlinear_cuda.py of
AutoGPTQ; compressors/pack_quantized/helpers.py of compressed-tensors).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import Checkpoint
from netdistance.checkpoints.encodings.base import Encoded, Floats, Stored, broken_part, encoded

Words = NDArray[np.uint32]
Codes = NDArray[np.uint8]
# words, zeros and scales, in rows of outputs
Band = tuple[Any, ...]

WORD = 32
# of a matrix whose columns are wanted: so much is held turned round, and so much is read at a time;
# no power of two, which would put a column's words into few places of the cache
_BAND_WORDS, _READ_WORDS = 65 << 15, 1 << 18


class RefusedError(Exception):
    """Why a packed tensor cannot be decoded; it never leaves the encodings."""


def words_for(count: int, bits: int) -> int:
    """How many 32-bit words `count` packed numbers take."""
    return -(-count * bits // WORD)


def unpacked(words: Words, bits: int, count: int) -> Codes:
    """The first `count` numbers of each row of words (n, words), as (n, count)."""
    raw = np.ascontiguousarray(words).view(np.uint8)
    if bits == 4:  # both halves of a byte to a byte each
        pairs = raw.astype(np.uint16)
        pairs |= pairs * np.uint16(16)  # numpy takes twice as long to shift
        pairs &= np.uint16(0x0F0F)
        return pairs.view(np.uint8)[:, :count]
    if bits == 8:
        return raw[:, :count]
    return _unpacked_across(raw, bits)[:, :count]


def _unpacked_across(raw: Codes, bits: int) -> Codes:
    """Eight numbers from each `bits` bytes."""
    octets = -(-raw.shape[1] // bits)
    raw = np.pad(raw, ((0, 0), (0, octets * bits - raw.shape[1]))).reshape(len(raw), octets, bits)
    joined = np.zeros((len(raw), octets), dtype=np.uint64)
    for byte in range(bits):
        joined |= raw[:, :, byte].astype(np.uint64) << np.uint64(8 * byte)
    codes = np.empty((len(raw), octets, 8), dtype=np.uint8)
    for place in range(8):
        codes[:, :, place] = (joined >> np.uint64(bits * place)) & np.uint64((1 << bits) - 1)
    return codes.reshape(len(raw), -1)


@dataclass(frozen=True, slots=True)
class Grid:
    """Weights (rows, columns) whose codes of `bits` bits share scales by group of columns.

    Column c is of group `index[c]`, and of group c // group where there is no index.
    """

    columns: int
    group: int
    bits: int
    index: NDArray[Any] | None = None

    def decoded(self, codes: Codes, zeros: NDArray[np.int16], scales: Floats) -> Floats:
        """(code - zero) x scale for rows of codes, in float32; the codes are used up.

        zeros and scales are (rows, groups), or (rows, 1) where a row has one.
        """
        # code - zero is exact in twice the bits of the code
        kind: Any = np.int8 if self.bits <= 4 else np.int16
        signed = codes.view(kind) if kind is np.int8 else codes.astype(kind)
        one = zeros.flat[0]  # symmetric weights have one zero, in the middle
        signed -= kind(one) if (zeros == one).all() else self.spread(zeros.astype(kind))
        weights: Floats
        if scales.shape[1] == 1:
            weights = signed * scales
            return weights
        # numpy casts the codes a few thousand at a time, in the L1 cache: a pass that casts and one
        # that scales take longer
        weights = self.spread(scales)
        weights *= signed
        return weights

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        """(rows, groups) as (rows, columns), or (rows, 1) where there is one group."""
        if values.shape[1] == 1:
            return values
        if self.index is not None:
            return np.take(values, self.index, axis=1, mode="clip")
        return np.repeat(values, self.group, axis=1)[:, : self.columns]


class Bands:
    """What was decoded beside the outputs that were asked for, held for the next call.

    A format that packs along the inputs has an output's numbers down a column, a few bytes in each
    row of the file. Each thread holds one band of words of 8 MiB, whichever tensor it is of.
    """

    def __init__(self) -> None:
        """Nothing is held."""
        self._held = local()

    def of(
        self, name: str, span: tuple[int, int, int], inputs: int, read: Callable[[int, int], Band]
    ) -> Band:
        """Rows first:last of what read(first, last) gives for the tensor; span is first, last, all.

        A row has `inputs` words.
        """
        first, last, outputs = span
        held: tuple[str | None, int, Band] = getattr(self._held, "band", (None, 0, ()))
        kept, begin, band = held
        if kept != name or not begin <= first <= last <= begin + len(band[0]):
            self._held.band = None, 0, ()  # freed before the next is read
            end = min(outputs, max(last, first + _BAND_WORDS // max(1, inputs)))
            begin, band = first, read(first, end)
            self._held.band = name, begin, band
        return tuple(each[first - begin : last - begin] for each in band)


def turned(file: Checkpoint, name: str, first: int, last: int) -> Words:
    """Columns first:last of a matrix of 32-bit integers, as (last - first, rows)."""
    rows = file.specs[name].shape[0]
    band = np.empty((last - first, rows), dtype=np.uint32)
    step = max(1, _READ_WORDS // len(band))
    for at in range(0, rows, step):
        part = slice(at, min(at + step, rows))
        band[:, part] = file.tile(name, part, slice(first, last)).view(np.uint32).T
    return band


def refused(
    stored: Stored, name: str, parts: tuple[str, ...], label: str, reason: str | None
) -> Encoded:
    """The tensor `name` that these parts would make, and why they do not."""
    shape = stored.specs[parts[0]].shape
    return encoded(stored, name, shape, parts, label=label, decoding="none", unreadable=reason)


def require_readable(stored: Stored, parts: tuple[str, ...]) -> None:
    """Refuse parts without numbers, before any of them is looked at."""
    if (broken := broken_part(stored, parts)) is not None:
        raise RefusedError(broken)


def require_float(stored: Stored, name: str) -> None:
    """Refuse scales that are not float32, float16 or bfloat16."""
    if stored.specs[name].encoding not in ("F32", "F16", "BF16"):
        raise RefusedError(f"{name!r} is {stored.specs[name].encoding}, expected floating point")


def require_shape(stored: Stored, name: str, *allowed: tuple[int, ...]) -> None:
    """Refuse a tensor of another shape than one of these."""
    shape = stored.specs[name].shape
    if shape not in allowed:
        expected = " or ".join(map(str, dict.fromkeys(allowed)))
        raise RefusedError(f"{name!r} has shape {shape}, expected {expected}")
