"""The grids that a changed tensor is held against: its container's, or those its values show."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from netdistance.checkpoints.base import Checkpoint
from netdistance.distances.container_floor import rounding_energy, rows_of
from netdistance.distances.container_grids import SEGMENT, Floats, Grid
from netdistance.distances.containers import PLAIN, grid_of
from netdistance.grids.formats import FP4, FP8, MXFP4, NF4, integers
from netdistance.grids.integers import SignedLargest
from netdistance.grids.quantiser import Cut, Quantiser
from netdistance.pairing.match import TensorPair

# levels of 4 bits in 128 elements of 32 a scale, and how many fewer values 8 bits leave than a has
_FEW_LEVELS, _FEWER = 64, 0.6
_LOOKED_AT, _LOOKED_WIDE, _WHOLE_ROW = 8, 1024, 1 << 15  # rows, and elements of each
# a type, and those finer than bf16 that may have rounded what is stored in it
_FINER = {"F64": ("F32", "F16"), "F32": ("F32", "F16")}
_NEAR = 0.05  # of the energy of rounding: what storing the rounded numbers in bf16 may add
_FAR = 4.0 * _NEAR  # of the first rows alone
# squared: what moved so many times as far as rounding in some rows moved so in a part of them,
# and no floor explains more than 3.1 times (distances.damage)
_HOPELESS = 16.0**2


def candidate_grids(
    a: Checkpoint, b: Checkpoint, pair: TensorPair, largest: float
) -> Iterator[tuple[Grid, bool]]:
    """The grids to judge b by, the finest first, and whether b must be a rounded to it, exactly.

    A known container has one. Plain numbers have their own type and bf16, and the coarser grids
    that the numbers of b lie on, as after simulated quantisation. Nothing is yielded for a
    container that is not known and shows no grid. `largest` is the largest magnitude of a.

    Raises:
        CheckpointError: a file ended early or cannot be read.
    """
    # what an adapter is added to was rounded, and the adapter is no rounding
    label = pair.b.encoding.partition(" + LoRA")[0]
    is_plain = pair.b.values is None or label in PLAIN
    if not is_plain and (grid := grid_of(label, largest)) is not None:
        yield grid, False
        return
    look = _Look.at(a, b, pair) if len(pair.a.shape) > 1 else None
    if is_plain:
        names = dict.fromkeys((*_FINER.get(label, (label,)), "BF16"))
        plain = [PLAIN[name] for name in names if name in PLAIN]
        for grid in plain:
            # the coarsest is looked at whole, hopeless or not: somebody asks how far it was
            if grid is plain[-1] or look is None or not look.moved_beyond(grid):
                yield grid, False
    if look is not None:
        yield from _shown_grids(look, largest)


def _shown_grids(look: _Look, largest: float) -> Iterator[tuple[Grid, bool]]:
    away = [(look.away_from(grid), grid) for grid in _exact_grids(largest)]
    # the nearest first: grids that differ in a row's last group alone are near each other
    for _, grid in sorted((one for one in away if one[0] <= _NEAR), key=lambda one: one[0]):
        yield grid, True
    bits = look.bits
    if bits == 4:
        for size in (32, 64, 128, None):
            yield Grid.of("int4", integers(4, size)), False
    if bits == 8:
        yield Grid.of("int8", integers(8)), False


def _exact_grids(largest: float) -> Iterator[Grid]:
    """Grids whose rounding leaves no choice: what lies on one of them by chance does not exist."""
    yield Grid.of("fp8", FP8, largest)
    yield Grid.of("fp8", Quantiser(FP8.code))
    yield Grid.of("int4", Quantiser(SignedLargest(4), Cut(32)))
    yield Grid.of("nf4", NF4)
    yield Grid.of("fp4", FP4)
    yield Grid.of("mxfp4", MXFP4)
    for bits in (8, 7, 6, 5, 4, 3, 2):
        for size in (16, 32, 64, 128, None):
            yield Grid.of(f"int{bits}", integers(bits, size))


@dataclass(frozen=True, slots=True)
class _Look:
    """The first elements of some rows of both sides, to see which grids are worth a pass."""

    rows: tuple[tuple[Floats, Floats], ...]
    whole: bool  # whether they are whole rows
    head: tuple[Floats, Floats]  # the first elements, whatever rows they are of

    @classmethod
    def at(cls, a: Checkpoint, b: Checkpoint, pair: TensorPair) -> _Look:
        rows, columns = rows_of(pair.a.shape)
        wide = columns if columns <= _WHOLE_ROW else _LOOKED_WIDE
        starts = sorted({row * rows // _LOOKED_AT * columns for row in range(_LOOKED_AT)})

        def both(start: int, size: int) -> tuple[Floats, Floats]:
            first, second = (_part(side, pair.name, start, size) for side in (a, b))
            return first, second

        seen = tuple(both(start, wide) for start in starts)
        # a last group that is cut off would not be rounded as it was
        head = min(_LOOKED_AT * _LOOKED_WIDE, pair.a.elements)
        return cls(seen, wide == columns, both(0, head))

    def away_from(self, grid: Grid) -> float:
        """How far b is from a rounded to the grid, here: squared, over the squares of rounding."""
        if grid.cut.group is None and not self.whole:
            return math.inf
        away, cost = 0.0, 0.0
        for x, y in (self.head,) if grid.cut.flat else self.rows:
            own = grid.rounded(x[None])[0]
            away += float(np.sum((y - own) ** 2))
            cost += float(np.sum((own - x) ** 2))
            if away > _FAR * cost:
                return math.inf  # most grids are not it, and one row says so
        return away / cost if cost else math.inf

    def moved_beyond(self, grid: Grid) -> bool:
        """Whether these rows moved too far for a pass over the tensor to end in rounding."""
        moved, cost = 0.0, 0.0
        for x, y in self.rows:
            own = grid.rounded(x[None])[0] - x
            moved += float(np.sum((y - x) ** 2))
            cost += float(np.sum(rounding_energy(x, own, grid)))
        return moved > _HOPELESS * cost

    @property
    def bits(self) -> int | None:
        """4 or 8, where so few values occur in b that codes of so many bits must be behind them.

        A change that is no rounding leaves as many values as there were.
        """
        kept = sum(_levels(y[:_LOOKED_WIDE]) for _, y in self.rows)
        if kept > _FEWER * sum(_levels(x[:_LOOKED_WIDE]) for x, _ in self.rows):
            return None
        narrow = min(self.rows[0][0].size, SEGMENT)
        most = max(_levels(y[:narrow]) for _, y in self.rows)
        return 4 if most <= narrow * _FEW_LEVELS / SEGMENT else 8


def _part(side: Checkpoint, name: str, start: int, size: int) -> Floats:
    blocks = side.blocks(name, start=start, stop=start + size)
    return np.concatenate([block.astype(np.float64) for block in blocks])


def _levels(values: Floats) -> int:
    return int(np.unique(values).size)
