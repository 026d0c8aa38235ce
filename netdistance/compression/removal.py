"""What leaves numbers out: magnitude pruning, and a matrix of low rank."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from netdistance.compression.base import Floats, Parts, Shape, as_rows


@dataclass(frozen=True, slots=True)
class Pruned:
    """The elements of least magnitude set to zero, a fraction of each tensor; the first of equals.

    Stored as a bit for each element and the kept numbers as they are, where that is smaller than
    the dense tensor.
    """

    fraction: float
    floor: str | None = None
    rounds: bool = False
    source: str = "magnitude pruning of each tensor (arXiv 1506.02626)"

    @property
    def name(self) -> str:
        """As Scheme.name."""
        return f"prune-{self.fraction:g}"

    def removed(self, elements: int) -> int:
        """How many elements become zero."""
        return round(self.fraction * elements)

    def encode(self, weight: Floats) -> Parts:
        """As Scheme.encode."""
        flat = weight.reshape(-1)
        number = self.removed(flat.size)
        magnitude = np.abs(flat)
        if number == 0:
            keep = np.ones(flat.size, dtype=np.bool_)
        else:
            last = np.partition(magnitude, number - 1)[number - 1]
            keep = magnitude > last
            equal = np.flatnonzero(magnitude == last)
            below = flat.size - int(np.count_nonzero(keep)) - equal.size
            keep[equal[number - below :]] = True
        return {"mask": np.packbits(keep), "kept": flat[keep]}

    def decode(self, parts: Parts, shape: Shape) -> Floats:
        """As Scheme.decode."""
        elements = math.prod(shape)
        values: Floats = np.zeros(elements, dtype=np.float32)
        values[np.unpackbits(parts["mask"], count=elements).astype(np.bool_)] = parts["kept"]
        return values.reshape(shape)

    def bits(self, shape: Shape, held: int) -> int:
        """As Scheme.bits."""
        elements = math.prod(shape)
        return min(held * elements, elements + held * (elements - self.removed(elements)))


@dataclass(frozen=True, slots=True)
class LowRank:
    """The nearest matrix of a rank, from the singular value decomposition in float64.

    The matrix has a row for each index of the first axis. Stored as two float32 factors, of
    rank x (rows + columns) numbers, where that is smaller than the dense tensor; a matrix of no
    higher rank stays as it is. Cost: one decomposition, O(rows columns min(rows, columns)).
    """

    rank: int
    floor: str | None = None
    rounds: bool = False
    source: str = "Eckart and Young 1936: the truncated singular value decomposition"

    @property
    def name(self) -> str:
        """As Scheme.name."""
        return f"lowrank-{self.rank}"

    def encode(self, weight: Floats) -> Parts:
        """As Scheme.encode."""
        rows = as_rows(weight)
        if self._is_whole(weight.shape):
            return {"whole": rows}
        is_wide = rows.shape[0] < rows.shape[1]
        tall = (rows.T if is_wide else rows).astype(np.float64)
        # a square factor first: half the time for the embedding of a vocabulary
        basis, square = np.linalg.qr(tall)
        left, values, right = np.linalg.svd(square)
        factors = basis @ (left[:, : self.rank] * values[: self.rank]), right[: self.rank]
        if is_wide:
            factors = factors[1].T, factors[0].T
        return {
            "left": np.ascontiguousarray(factors[0], dtype=np.float32),
            "right": np.ascontiguousarray(factors[1], dtype=np.float32),
        }

    def decode(self, parts: Parts, shape: Shape) -> Floats:
        """As Scheme.decode."""
        if "whole" in parts:
            return parts["whole"].reshape(shape).astype(np.float32)
        values: Floats = parts["left"] @ parts["right"]
        return values.reshape(shape)

    def bits(self, shape: Shape, held: int) -> int:
        """As Scheme.bits."""
        rows, columns = shape[0], math.prod(shape[1:])
        dense = held * rows * columns
        return dense if self._is_whole(shape) else min(dense, 32 * self.rank * (rows + columns))

    def _is_whole(self, shape: Shape) -> bool:
        return self.rank >= min(shape[0], math.prod(shape[1:]))
