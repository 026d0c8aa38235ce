"""A tensor cut into what shares a scale, and each part as codes: what is stored, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netdistance.grids.base import Array, Code, Floats

# rows are encoded so many elements at a time: half a MiB of float32, which caches hold
_BAND_ELEMENTS = 1 << 17


@dataclass(frozen=True, slots=True)
class Cut:
    """`band` rows of `group` elements each share a scale, those at the ends of a matrix fewer.

    Without a group whole rows do. `flat`: groups run on from row to row. `whole`: all elements
    share one scale.
    """

    group: int | None = None
    band: int = 1
    flat: bool = False
    whole: bool = False

    def count(self, rows: int, columns: int) -> int:
        """How many scales a matrix has."""
        if self.whole:
            return 1
        if self.flat:
            rows, columns = 1, rows * columns
        return -(-rows // self.band) * -(-columns // (self.group or columns))

    def parts(self, matrix: Array) -> list[Array]:
        """Views of a contiguous matrix in order, of whole groups, about 2^17 elements each."""
        if not self.flat or not self.group:
            return _bands(matrix, self.band)
        flat = matrix.reshape(-1)
        whole = flat.size // self.group * self.group
        rest = _bands(flat[whole:].reshape(1, -1), 1)
        return _bands(flat[:whole].reshape(-1, self.group), 1) + rest

    def grouped(self, part: Array) -> Array:
        """A part as (high, wide, band, group), its last row and column repeated to fill groups.

        A repeated element changes neither the least nor the largest of its group.
        """
        rows, columns = part.shape
        band = rows if self.whole else min(self.band, rows)
        group = min(self.group or columns, columns)
        if rows % band or columns % group:
            part = np.pad(part, ((0, -rows % band), (0, -columns % group)), mode="edge")
        return part.reshape(-(-rows // band), band, -(-columns // group), group).swapaxes(1, 2)

    def joined(self, groups: Array, shape: tuple[int, ...]) -> Array:
        """The part of this shape that `grouped` cut."""
        high, wide, band, group = groups.shape
        part = groups.swapaxes(1, 2).reshape(high * band, wide * group)
        return part[: shape[0], : shape[1]]


def _bands(matrix: Array, band: int) -> list[Array]:
    if matrix.size <= _BAND_ELEMENTS:
        return [matrix] if matrix.size else []
    rows, columns = matrix.shape
    step = max(1, _BAND_ELEMENTS // (columns * band)) * band
    return [matrix[begin : begin + step] for begin in range(0, rows, step)]


@dataclass(frozen=True, slots=True)
class Quantiser:
    """A way to store a matrix: how it is cut, and the code of what shares a scale.

    >>> from netdistance.grids.integers import Symmetric
    >>> fours = Quantiser(Symmetric(4), Cut(2))
    >>> codes, scales = fours.encode(np.array([[7, -2.6, 14]], dtype=np.float32))
    >>> codes.tolist(), scales.tolist(), fours.decode(codes, scales).tolist()
    ([[7, -3, 7]], [[1.0, 2.0]], [[7.0, -3.0, 14.0]])
    """

    code: Code
    cut: Cut = Cut()

    def encode(self, matrix: Floats, largest: float | None = None) -> tuple[Array, Array]:
        """Codes (rows, columns), and scales by row of groups; memory beside them is a few bands.

        `largest` is the largest magnitude of the whole, where one scale serves it and `matrix` is
        a part of it. The matrix is finite and not empty.
        """
        codes = np.empty(matrix.shape, self.code.dtype)
        known = None
        if self.cut.whole:
            largest = _largest(matrix) if largest is None else largest
            known = self.code.scales(np.full((1, 1, 1, 1), largest, dtype=np.float32))
        scales = []
        for part, into in zip(self.cut.parts(matrix), self.cut.parts(codes), strict=True):
            groups = self.cut.grouped(part)
            scale = self.code.scales(groups) if known is None else known
            into[...] = self.cut.joined(self.code.codes(groups, scale), into.shape)
            scales.append(scale.reshape(len(scale), -1))
        return codes, np.concatenate(scales) if known is None else scales[0]

    def decode(self, codes: Array, scales: Array) -> Floats:
        """The numbers that codes and scales mean, (rows, columns)."""
        values = np.empty(codes.shape, dtype=np.float32)
        row = 0
        for part, into in zip(self.cut.parts(codes), self.cut.parts(values), strict=True):
            groups = self.cut.grouped(part)
            high, wide = groups.shape[:2]
            own = scales if self.cut.whole else scales[row : row + high]
            found = self.code.values(groups, own.reshape(high, wide, 1, -1))
            into[...] = self.cut.joined(found, into.shape)
            row += high
        return values

    def rounded(self, matrix: Array, largest: float | None = None) -> Floats:
        """What a matrix of any floats becomes: encoded in float32, as it would be stored."""
        return self.decode(*self.encode(matrix.astype(np.float32, copy=False), largest))


def _largest(matrix: Floats) -> float:
    # without a copy of the whole
    return max(float(matrix.max()), -float(matrix.min()))
