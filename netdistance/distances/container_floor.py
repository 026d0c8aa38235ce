"""What rounding a tensor onto a container's grid costs, beside how far it moved: whole and parts.

The floor is |round(a) - a|, by rounding for real. A part is a group of a scale, or 128 elements of
a row: one damaged group hardly moves the norm of a tensor, and moves far beyond its own floor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from netdistance.checkpoints.base import Checkpoint
from netdistance.distances.container_grids import Floats, Grid
from netdistance.execution.freed_memory import keep_freed_memory
from netdistance.pairing.match import TensorPair

# elements of a tile in float64: some 2 MiB for each of about ten temporaries
_TILE = 1 << 18
# a group that lies by chance on its grid has at least this share of what others of its size have
_LEAST = 0.5
# standard deviations of a normal variable: its median magnitude is 0.6745 of one
_NORMAL_MEDIAN = 0.6745
# below so many standard deviations the parts of b are the rounded parts of a
_REPRODUCED = 0.1


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a tensor that stands out most in one way: `value` of it, and where it begins."""

    value: float = 0.0
    row: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class FloorFacts:
    """How a tensor moved, against rounding it onto a grid. Norms are of the whole tensor.

    `gain` is <a, b - round(a)> / |a|^2: how far it was scaled beyond what rounding does. Of the
    parts, `farthest` moved most against its floor in root mean square; `scaled` and `shifted` have
    the largest |<a, b - round(a)>| / (|a| s) and |sum(b - round(a))| / (sqrt(n) s), s their floor
    for each element: standard deviations, were the errors independent.
    `typical` is the median of `scaled` over the parts, as a standard deviation.
    """

    distance: float
    floor: float
    size: float
    gain: float
    farthest: Part
    scaled: Part
    shifted: Part
    typical: float
    segment: int

    @property
    def multiple(self) -> float:
        """How many times its floor the tensor moved; infinite where rounding would not move it."""
        if self.floor == 0.0:
            return math.inf if self.distance else 0.0
        return self.distance / self.floor

    @property
    def reproduced(self) -> bool:
        """Whether b is a rounded in the very way that the floor supposes, most parts of it."""
        return self.typical <= _REPRODUCED


def floor_facts(a: Checkpoint, b: Checkpoint, pair: TensorPair, grid: Grid) -> FloorFacts:
    """The facts of a pair of finite floating-point tensors, read again tile by tile.

    One pass over both; memory is a few tiles of 2^18 elements, or of one row where a row shares a
    scale, or of the rows of a block.

    Raises:
        CheckpointError: a file ended early or cannot be read.
    """
    keep_freed_memory()
    parts = [_Tile.of(x, y, at, grid) for at, x, y in _tiles(a, b, pair, grid)]
    distance, floor, size, along = (
        math.fsum(part.sums[place] for part in parts) for place in range(4)
    )
    scaled = np.concatenate([part.scaled for part in parts])
    across, columns = rows_of(pair.a.shape, grid)[1], rows_of(pair.a.shape)[1]
    farthest, most_scaled, shifted = (
        _placed(max((getattr(part, way) for part in parts), key=_value), across, columns)
        for way in ("farthest", "most_scaled", "shifted")
    )
    return FloorFacts(
        distance=math.sqrt(distance),
        floor=math.sqrt(floor),
        size=math.sqrt(size),
        gain=along / size if size else 0.0,
        farthest=farthest,
        scaled=most_scaled,
        shifted=shifted,
        typical=float(np.median(scaled)) / _NORMAL_MEDIAN,
        segment=grid.segment,
    )


def _value(part: Part) -> float:
    return part.value


def _placed(part: Part, across: int, columns: int) -> Part:
    """The part where the tensor has it, which was found in rows of `across` elements."""
    return Part(part.value, *divmod(part.row * across + part.column, columns))


def rows_of(shape: tuple[int, ...], grid: Grid | None = None) -> tuple[int, int]:
    """Rows along the first axis and what each holds; a tensor of one axis is one row.

    Where the groups of a grid run on from row to row, each is a row, the last one ragged.
    """
    elements = math.prod(shape)
    rows = shape[0] if len(shape) > 1 else 1
    columns = elements // rows if rows else 0
    if grid is not None and grid.cut.flat and grid.cut.group and columns % grid.cut.group:
        return -(-elements // grid.cut.group), grid.cut.group
    return rows, columns


def _tiles(
    a: Checkpoint, b: Checkpoint, pair: TensorPair, grid: Grid
) -> Iterator[tuple[tuple[int, int], Floats, Floats]]:
    """Rectangles of both sides in float64 that hold whole groups, and where they begin."""
    rows, columns = rows_of(pair.a.shape, grid)
    wide = columns
    if grid.cut.group is not None or grid.cut.band > 1 or columns > 16 * _TILE:
        unit = math.lcm(grid.cut.group or grid.segment, grid.segment)
        wide = min(columns, max(1, _TILE // (unit * grid.cut.band)) * unit)
    high = max(1, _TILE // (wide * grid.cut.band)) * grid.cut.band
    for row in range(0, rows, high):
        last = min(rows, row + high)
        x, y = (_rows(side, pair.name, row, last, columns) for side in (a, b))
        for column in range(0, columns, wide):
            part = slice(column, column + wide)
            yield (row, column), x[:, part].astype(np.float64), y[:, part].astype(np.float64)


def _rows(side: Checkpoint, name: str, first: int, last: int, columns: int) -> Floats:
    stop = min(last * columns, side.specs[name].elements)
    blocks = [block.copy() for block in side.blocks(name, start=first * columns, stop=stop)]
    beyond = last * columns - stop
    # zeros lie on every grid and add nothing to a sum
    blocks += [np.zeros(beyond, blocks[0].dtype)] if beyond else []
    found: Floats = np.concatenate(blocks).reshape(last - first, columns)
    return found


@dataclass(frozen=True, slots=True)
class _Tile:
    """What one tile leaves behind: four sums, and the parts that stand out."""

    sums: tuple[float, float, float, float]  # |b - a|^2, |round(a) - a|^2, |a|^2, <a, b - round(a)>
    farthest: Part
    most_scaled: Part
    shifted: Part
    scaled: Floats  # of every part

    @classmethod
    def of(cls, a: Floats, b: Floats, at: tuple[int, int], grid: Grid) -> _Tile:
        """The tile of a and b that begins at a row and a column."""
        own, moved = grid.rounded(a) - a, b - a
        beyond = moved - own
        size = min(grid.segment, a.shape[1])
        starts = np.arange(0, a.shape[1], size)
        lengths = np.diff(np.append(starts, a.shape[1])).astype(np.float64)

        def added(values: Floats) -> Floats:
            return np.add.reduceat(values, starts, axis=1)

        cost = rounding_energy(a, own, grid)
        distance, floor, energy = added(moved * moved), added(cost), added(a * a)
        along, shift = added(a * beyond), np.abs(added(beyond))
        largest = np.maximum.reduceat(np.abs(a), starts, axis=1)
        spread = _spread(np.sqrt(floor / lengths), largest)
        place = (*at, starts.size, size)
        scaled = _ratio(np.abs(along), np.sqrt(energy) * spread)
        return cls(
            sums=(
                float(distance.sum()),
                float(floor.sum()),
                float(energy.sum()),
                float(along.sum()),
            ),
            farthest=_most(_ratio(np.sqrt(distance / lengths), spread), place),
            most_scaled=_most(scaled, place),
            shifted=_most(_ratio(shift, np.sqrt(lengths) * spread), place),
            scaled=scaled.ravel(),
        )


def rounding_energy(a: Floats, own: Floats, grid: Grid) -> Floats:
    """What rounding costs each element, squared; `own` is round(a) - a.

    Where arithmetic rounds what the grid holds already, at least as much as it does on average.
    """
    cost = own * own
    return cost if grid.spacing is None else np.maximum(cost, grid.spacing(a) ** 2 / 12.0)


def _spread(floor: Floats, largest: Floats) -> Floats:
    """The floor of an element in each part, at least half of what is usual for its largest."""
    usual = np.median(_ratio(floor, largest))
    return np.maximum(floor, _LEAST * usual * largest)


def _ratio(above: Floats, below: Floats) -> Floats:
    """Above / below: 0 of nothing, infinite where only `below` is 0."""
    otherwise = np.where(above > 0.0, np.inf, 0.0)
    return np.divide(above, below, out=otherwise, where=below > 0.0)


def _most(values: Floats, at: tuple[int, int, int, int]) -> Part:
    row, column, parts, size = at
    place = int(values.argmax())
    value = float(values.ravel()[place])
    return Part(value, row + place // parts, column + place % parts * size)
