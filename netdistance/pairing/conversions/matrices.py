"""A tensor as another file would store it: rows taken, joined, turned or shifted while being read.

Every tensor is read as a matrix: a vector as one column, more than two axes as rows of the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import Checkpoint, TensorSpec

Index = NDArray[np.intp]
# rows of the new matrix to the part that has each, and the row of that part
Where = Callable[[Index], tuple[Index, Index]]

# read at once: 4 MiB of float32
_TILE_ELEMENTS = 1 << 20
# rows that lie within so many of each other are read in one go
_GAP = 8


class Matrix(Protocol):
    """Numbers by row and column, none of them read yet."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The tensors of the file that it is made of."""

    def take(self, rows: Index, columns: Index) -> NDArray[Any]:
        """The numbers where these rows and columns cross, (rows, columns); both in any order."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as the file has it, in rows of `columns` numbers."""

    file: Checkpoint
    spec: TensorSpec
    columns: int

    @classmethod
    def of(cls, file: Checkpoint, spec: TensorSpec) -> Stored:
        """A vector as one column, anything else in rows of its last axis."""
        return cls(file, spec, spec.shape[-1] if len(spec.shape) > 1 else 1)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.spec.elements // self.columns, self.columns

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The tensor alone."""
        return (self.spec,)

    def take(self, rows: Index, columns: Index) -> NDArray[Any]:
        """As Matrix.take; rows that lie close are read together, columns as one span."""
        low, high = int(columns.min()), int(columns.max()) + 1
        within = _slice(columns - low)
        order = np.arange(rows.size) if _is_range(rows) else np.argsort(rows, kind="stable")
        ordered = rows[order]
        tiles = []
        for begin, end in _spans(ordered, max(1, _TILE_ELEMENTS // (high - low))):
            first, last = int(ordered[begin]), int(ordered[end - 1]) + 1
            tile = self._tile(first, last, low, high)[:, within]
            close = last - first == end - begin
            tiles.append(tile if close else tile[ordered[begin:end] - first])
        found = tiles[0] if len(tiles) == 1 else np.concatenate(tiles)
        if _is_range(order):
            return found
        out = np.empty_like(found)
        out[order] = found
        return out

    def _tile(self, first: int, last: int, low: int, high: int) -> NDArray[Any]:
        name, width = self.spec.name, self.columns
        if len(self.spec.shape) == 2 and self.spec.shape[1] == width:
            return self.file.tile(name, slice(first, last), slice(low, high))
        spans = [(row * width + low, row * width + high) for row in range(first, last)]
        if high - low == width:
            spans = [(first * width, last * width)]
        blocks = [
            block.copy() for x, y in spans for block in self.file.blocks(name, start=x, stop=y)
        ]
        return np.concatenate(blocks).reshape(last - first, high - low)


@dataclass(frozen=True, slots=True)
class Gathered:
    """Rows of one or more matrices of one width, in an order of their own."""

    parts: tuple[Matrix, ...]
    rows: int
    where: Where

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.rows, self.parts[0].shape[1]

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The tensors of all parts."""
        return tuple(spec for part in self.parts for spec in part.specs)

    def take(self, rows: Index, columns: Index) -> NDArray[Any]:
        """As Matrix.take, from each part what is its."""
        part, row = self.where(rows)
        present = np.unique(part)
        if present.size == 1:
            return self.parts[int(present[0])].take(row, columns)
        found = [(part == p, self.parts[int(p)].take(row[part == p], columns)) for p in present]
        out = np.empty(
            (rows.size, columns.size), dtype=np.result_type(*(tile for _, tile in found))
        )
        for places, tile in found:
            out[places] = tile
        return out


@dataclass(frozen=True, slots=True)
class Turned:
    """A matrix, transposed."""

    inner: Matrix

    @property
    def shape(self) -> tuple[int, int]:
        """(columns, rows) of the inner."""
        rows, columns = self.inner.shape
        return columns, rows

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """Those of the inner."""
        return self.inner.specs

    def take(self, rows: Index, columns: Index) -> NDArray[Any]:
        """As Matrix.take."""
        return self.inner.take(columns, rows).T


@dataclass(frozen=True, slots=True)
class Shifted:
    """A matrix with a number added to all of its own, in float32."""

    inner: Matrix
    by: float

    @property
    def shape(self) -> tuple[int, int]:
        """That of the inner."""
        return self.inner.shape

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """Those of the inner."""
        return self.inner.specs

    def take(self, rows: Index, columns: Index) -> NDArray[Any]:
        """As Matrix.take."""
        tile = self.inner.take(rows, columns)
        with np.errstate(all="ignore"):  # the report counts what is not finite
            wide = tile if tile.dtype == np.float64 else tile.astype(np.float32)
            return wide + wide.dtype.type(self.by)


def one_part(move: Callable[[Index], Index]) -> Where:
    """Where the rows are, for a matrix that is made of one."""
    return lambda rows: (np.zeros_like(rows), move(rows))


def _slice(index: Index) -> slice | Index:
    """The index as a slice where it is one without gaps, which then costs no copy."""
    return slice(int(index[0]), int(index[-1]) + 1) if _is_range(index) else index


def _is_range(index: Index) -> bool:
    return bool(index.size) and bool(np.all(np.diff(index) == 1))


def _spans(ordered: Index, most: int) -> Iterator[tuple[int, int]]:
    """Places first:end of rows that lie close, in sorted ones; at most `most` rows at once."""
    breaks = (np.flatnonzero(np.diff(ordered) > _GAP) + 1).tolist()
    for begin, end in pairwise((0, *breaks, ordered.size)):
        while ordered[end - 1] - ordered[begin] >= most:
            reach = int(np.searchsorted(ordered, ordered[begin] + most, "left"))
            yield begin, reach
            begin = reach
        yield begin, end


def rows_of(matrix: Matrix, dtype: type[np.floating[Any]]) -> Callable[[int, int], NDArray[Any]]:
    """`rows(first, last)` of the matrix, whole, in a type."""
    columns = np.arange(matrix.shape[1])
    return partial(_rows, matrix, columns, dtype)


def _rows(
    matrix: Matrix, columns: Index, dtype: type[np.floating[Any]], first: int, last: int
) -> NDArray[Any]:
    return matrix.take(np.arange(first, last), columns).astype(dtype, copy=False)
