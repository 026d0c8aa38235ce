"""scale x L R, a piece at a time: the change that two small matrices make of a large one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import Checkpoint

Doubles = NDArray[np.float64]

# of a product, and of each factor, at a time: 2 MiB of float64
_MOST = 1 << 18


@dataclass(frozen=True, slots=True)
class Factor:
    """A or B of an adapter as a matrix: all axes but the first are one."""

    file: Checkpoint
    name: str
    turned: bool = False

    @property
    def is_float(self) -> bool:
        """Whether it holds real floating point that can be read."""
        spec = self.file.specs[self.name]
        return spec.unreadable is None and spec.dtype.kind == "float"

    @property
    def stored(self) -> tuple[int, int]:
        """Rows and columns as they lie in the file."""
        shape = self.file.specs[self.name].shape
        return shape[0], math.prod(shape[1:])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, after turning it over where it is turned."""
        return self.stored[::-1] if self.turned else self.stored

    def piece(self, rows: slice, columns: slice) -> Doubles:
        """A rectangle of it."""
        if self.turned:
            rows, columns = columns, rows
        found = self.file.tile(self.name, rows, columns, width=self.stored[1])
        found = found.astype(np.float64)
        return found.T if self.turned else found


@dataclass(frozen=True, slots=True)
class LowRank:
    """scale x left right, a matrix of `shape`; without `right` it is scale x left, a column."""

    scale: float
    left: Factor
    right: Factor | None
    rank: int

    @classmethod
    def of(
        cls, a: Factor, b: Factor, scale: float, shape: tuple[int, ...], *, turned: bool
    ) -> Self | str:
        """Give scale x B A as a weight of `shape` holds it, or why it does not fit.

        A linear layer has (outputs, inputs), and `turned` (inputs, outputs), as an embedding; a
        convolution has (outputs, inputs, *kernel), with the kernel in A. `turned` decides where the
        weight is square, else the shape does: only one fits.
        """
        shapes = [factor.file.specs[factor.name].shape for factor in (a, b)]
        if any(len(s) < 2 or not factor.is_float for s, factor in zip(shapes, (a, b), strict=True)):
            return f"its lora_A and lora_B are {shapes[0]} and {shapes[1]}: no matrices of floats"
        rank = a.stored[0]
        plain, other = (b.stored[0], a.stored[1]), (a.stored[1], b.stored[0])
        wanted = (shape[0], math.prod(shape[1:])) if len(shape) >= 2 else shape
        fits = b.stored[1] == rank and wanted in (plain, other)
        if len(shape) > 2:  # a convolution: the kernel is A's, and B has one of 1
            turned, fits = False, fits and shapes[0][1:] == shape[1:] and wanted == plain
        if not fits:
            what = f"its lora_A and lora_B are {shapes[0]} and {shapes[1]}"
            return f"{what}, which make no change of shape {shape}"
        if other == wanted and (turned or plain != wanted):
            left, right = (Factor(x.file, x.name, turned=True) for x in (a, b))
            return cls(scale, left, right, rank)
        return cls(scale, b, a, rank)

    @classmethod
    def of_bias(
        cls, file: Checkpoint, name: str, scale: float, shape: tuple[int, ...]
    ) -> Self | str:
        """Give scale x the bias of B, or why it does not fit."""
        factor, found = Factor(file, name), file.specs[name].shape
        if found != shape or len(shape) != 1 or not factor.is_float:
            return f"its lora_B.bias has shape {found}, expected floats of {shape}"
        return cls(scale, factor, None, 1)

    def rows(self, first: int, last: int) -> Doubles:
        """Its rows first:last, (last - first, columns), in float64."""
        if self.right is None:
            return self.scale * self.left.piece(slice(first, last), slice(0, 1))
        columns = self.right.shape[1]
        found = np.zeros((last - first, columns))
        for inner in _spans(0, self.rank, 512):
            width = inner.stop - inner.start
            for down in _spans(first, last, max(1, _MOST // width)):
                left = self.left.piece(down, inner)
                for across in _spans(0, columns, max(1, _MOST // width)):
                    into = found[down.start - first : down.stop - first, across]
                    into += left @ self.right.piece(inner, across)
        found *= self.scale
        return found


def _spans(first: int, last: int, size: int) -> Iterator[slice]:
    return (slice(at, min(at + size, last)) for at in range(first, last, size))
