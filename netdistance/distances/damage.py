"""The verdict on one tensor: lossless, rounding, more than rounding, broken or not compared.

The bars below stand on measured roundings and planted damage: docs/concepts/how-verdicts-are-judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from netdistance.checkpoints.base import Checkpoint
from netdistance.distances import container_grids as grids
from netdistance.distances.container_floor import FloorFacts, Part, floor_facts, rows_of
from netdistance.distances.container_grids import Grid, in_groups
from netdistance.distances.containers import grid_of, plain_grid
from netdistance.distances.measure import why_without_distance
from netdistance.linalg.sums import PairSums
from netdistance.pairing.match import TensorPair
from netdistance.quantities import Exact, Quantity, Skipped
from netdistance.report.audit_rows import AuditVerdict
from netdistance.report.noise_floor import times

# a relative distance from which nothing of a weight is left to speak of (product decision)
BROKEN = 0.5
# real rounding: 1.00 where the container's quantiser is known, up to 1.06 in another convention of
# the scale; calibrated ones reach 1.8 on MiniLM
_MULTIPLE, _CALIBRATED_MULTIPLE = 1.2, 2.0
# of a part, by rounding that is reproduced: up to 1.1 and 2.8; by other scales up to 2.0 and 9.9
_REPRODUCED_PART, _REPRODUCED_DEVIATIONS = 1.35, 4.0
_PART, _DEVIATIONS = 2.5, 14.0
# a part that lost as much as an average one holds: 1.0 where it is zeroed, 2 where it is random
_REPLACED = 0.7
# a gain of the whole: what scales kept in 8 bits explain, and a part of what coarse codes do
_GAIN, _GAIN_OF_FLOOR = 0.004, 0.15
# levels of 4 bits in 128 elements of 32 a scale, and how many fewer values 8 bits leave than a has
_FEW_LEVELS, _FEWER = 64, 0.6
_LOOKED_AT, _LOOKED_WIDE, _WHOLE_ROW = 8, 1024, 1 << 15  # rows, and elements of each
_NEAR = 0.05  # of the energy of rounding: what storing the rounded numbers in bf16 may add


@dataclass(frozen=True, slots=True)
class TensorVerdict:
    """What became of one tensor, and why, where that is not plain.

    `distance` and `size` are |b - a| and |a|, `floor` what rounding to `rounding_of` would cost;
    all None where they are not known.
    """

    verdict: AuditVerdict
    reason: str | None = None
    rounding_of: str | None = None
    distance: Quantity = Exact(0.0)
    floor: float | None = None


def judge_tensor(
    a: Checkpoint, b: Checkpoint, pair: TensorPair, sums: PairSums | None
) -> TensorVerdict:
    """The verdict on a pair of one shape; `sums` is None where it could not be read.

    Raises:
        CheckpointError: a file ended early or cannot be read.
    """
    why = why_without_distance(pair, sums)
    if sums is None:
        return TensorVerdict("not_compared", why, distance=Skipped(str(why)))
    if sums.changed == 0:
        return TensorVerdict("lossless")
    if not sums.finite:
        return TensorVerdict("broken", why, distance=Skipped(str(why)))
    if why is not None:
        return TensorVerdict("more_than_rounding", why, distance=Skipped(why))
    if sums.a.norm == 0.0:
        why = "the reference is zero, and b is not"
        return TensorVerdict("broken", why, distance=Skipped(why))
    relative = sums.difference.relative_to(sums.a)
    if not relative < BROKEN:
        text = f"moved by {relative:.3g} of its size: nothing that rounding does"
        distance = Exact(relative) if math.isfinite(relative) else Skipped("exceeds float64")
        return TensorVerdict("broken", text, distance=distance)
    return _against_floors(a, b, pair, sums, relative)


def _against_floors(
    a: Checkpoint, b: Checkpoint, pair: TensorPair, sums: PairSums, relative: float
) -> TensorVerdict:
    """The first floor that explains the change, else the last and what it does not explain."""
    found: list[tuple[float, str, str, float]] = []
    for grid, holds in _candidates(a, b, pair, sums):
        facts = floor_facts(a, b, pair, grid)
        problem, floor = what_is_wrong(facts, grid), facts.floor / facts.size
        if problem is None and holds(facts):
            return TensorVerdict("rounding", None, grid.name, Exact(relative), floor)
        apart = abs(math.log(facts.multiple)) if 0.0 < facts.multiple < math.inf else math.inf
        found.append((apart, problem or f"not as {grid.name} rounds", grid.name, floor))
    if not found:
        text = f"moved by {relative:.3g} of its size, and no rounding of {pair.b.encoding} is known"
        return TensorVerdict("more_than_rounding", text, None, Exact(relative))
    # the floor that it comes nearest to says most of what happened
    _, problem, name, floor = min(found, key=lambda one: one[0])
    return TensorVerdict("more_than_rounding", problem, name, Exact(relative), floor)


def what_is_wrong(facts: FloorFacts, grid: Grid) -> str | None:
    """What rounding to the grid does not explain, with its numbers; None where it explains all."""
    bar = _CALIBRATED_MULTIPLE if grid.calibrated else _MULTIPLE
    if facts.floor == 0.0:
        return f"a lies on the {grid.name} grid already: rounding would not have moved it"
    if facts.multiple > bar:
        return f"moved {times(facts.multiple)} x as far as {grid.name} rounding does"
    if abs(facts.gain) > max(_GAIN, _GAIN_OF_FLOOR * facts.floor / facts.size):
        return f"scaled by {1.0 + facts.gain:.3f} beyond {grid.name} rounding"
    whole = f"the whole moved only {times(facts.multiple)} x as far as {grid.name} rounding does"
    if grid.calibrated:
        if math.sqrt(facts.replaced.value) > _REPLACED:
            return f"{_where(facts, facts.replaced)} are lost, though {whole}"
        return None
    part, deviations = (
        (_REPRODUCED_PART, _REPRODUCED_DEVIATIONS)
        if facts.reproduced
        else (_PART * (1.0 + 4.0 / facts.segment), _DEVIATIONS)
    )
    if facts.farthest.value > part:
        far = times(facts.farthest.value)
        return f"{_where(facts, facts.farthest)} moved {far} x their {grid.name} floor, and {whole}"
    for found, what in ((facts.scaled, "scaled"), (facts.shifted, "shifted")):
        if found.value > deviations:
            by = f"{found.value:.0f} standard deviations of rounding"
            return f"{_where(facts, found)} are {what} by {by}, though {whole}"
    return None


def _where(facts: FloorFacts, part: Part) -> str:
    return f"{facts.segment} elements at row {part.row:,}, column {part.column:,}"


Holds = Callable[[FloorFacts], bool]


def _candidates(
    a: Checkpoint, b: Checkpoint, pair: TensorPair, sums: PairSums
) -> Iterator[tuple[Grid, Holds]]:
    """The grids to judge by, the finest first: of the container, else those that the values show.

    Numbers of a coarser grid may be stored in a wide type, as after simulated quantisation: then
    far fewer values occur in b than in a.
    """
    if pair.b.values is not None:
        grid = grid_of(pair.b.encoding, sums.max_abs_a)
        if grid is not None:
            yield grid, _any
            return
    for name in dict.fromkeys((*_own(pair), "BF16")):
        if (grid := plain_grid(name)) is not None:
            yield grid, _any
    if len(pair.a.shape) < 2:
        return
    look = _Look.at(a, b, pair)
    for grid in _exact_grids(sums.max_abs_a):
        if look.reproduces(grid):
            yield grid, _is_reproduced
    bits = look.bits
    if bits == 4:
        for size in (32, 64, 128, None):
            yield Grid("int4", in_groups(size, grids.symmetric(4, 7.0)), size), _any
    if bits == 8:
        yield Grid("int8", in_groups(None, grids.symmetric(8, 127.0))), _any


def _own(pair: TensorPair) -> tuple[str, ...]:
    """The types finer than bf16 that may have rounded it, and its own."""
    own = pair.b.dtype.name
    return {"F64": ("F32", "F16"), "F32": ("F32", "F16")}.get(own, (own,))


def _any(facts: FloorFacts) -> bool:
    return True


def _is_reproduced(facts: FloorFacts) -> bool:
    """A cast is exact: what is of its size by chance is something else."""
    return facts.reproduced


def _exact_grids(largest: float) -> Iterator[Grid]:
    """Grids whose rounding leaves no choice: what lies on one of them by chance does not exist."""
    yield Grid("int8", in_groups(32, grids.symmetric(8, 127.0)), 32)
    yield Grid("int8", in_groups(None, grids.symmetric(8, 127.0)))
    yield Grid("fp8", grids.by_scale(largest / 448.0, grids.E4M3))
    yield Grid("fp8", in_groups(None, grids.scaled(448.0, grids.E4M3)))
    yield Grid("int4", in_groups(32, grids.signed_largest(4)), 32)
    for size in (32, 64, 128, None):
        yield Grid("int4", in_groups(size, grids.symmetric(4, 7.0)), size)
    yield Grid("nf4", in_groups(64, grids.NF4), 64)
    yield Grid("mxfp4", in_groups(32, grids.scaled(6.0, grids.E2M1, power_of_two=True)), 32)


@dataclass(frozen=True, slots=True)
class _Look:
    """The first elements of some rows of both sides, to see which grids are worth a pass."""

    rows: tuple[tuple[grids.Floats, grids.Floats], ...]
    whole: bool  # whether they are whole rows

    @classmethod
    def at(cls, a: Checkpoint, b: Checkpoint, pair: TensorPair) -> _Look:
        rows, columns = rows_of(pair.a.shape)
        wide = columns if columns <= _WHOLE_ROW else _LOOKED_WIDE
        starts = sorted({row * rows // _LOOKED_AT * columns for row in range(_LOOKED_AT)})
        both = (tuple(_part(side, pair.name, start, wide) for side in (a, b)) for start in starts)
        return cls(tuple((x, y) for x, y in both), wide == columns)

    def reproduces(self, grid: Grid) -> bool:
        """Whether b is a rounded to the grid, here."""
        if grid.group is None and not self.whole:
            return False
        away, cost = 0.0, 0.0
        for x, y in self.rows:
            own = grid.rounded(x[None])[0]
            away += float(np.sum((y - own) ** 2))
            cost += float(np.sum((own - x) ** 2))
        return away <= _NEAR * cost

    @property
    def bits(self) -> int | None:
        """4 or 8, where so few values occur in b that codes of so many bits must be behind them.

        A change that is no rounding leaves as many values as there were.
        """
        kept = sum(_levels(y[:_LOOKED_WIDE]) for _, y in self.rows)
        if kept > _FEWER * sum(_levels(x[:_LOOKED_WIDE]) for x, _ in self.rows):
            return None
        narrow = min(self.rows[0][0].size, grids.SEGMENT)
        most = max(_levels(y[:narrow]) for _, y in self.rows)
        return 4 if most <= narrow * _FEW_LEVELS / grids.SEGMENT else 8


def _part(side: Checkpoint, name: str, start: int, size: int) -> grids.Floats:
    blocks = side.blocks(name, start=start, stop=start + size)
    return np.concatenate([block.astype(np.float64) for block in blocks])


def _levels(values: grids.Floats) -> int:
    return int(np.unique(values).size)
