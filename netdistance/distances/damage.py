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
_LOOKED_AT = 8  # rows, and up to 1024 elements of each
_LOOKED_WIDE = 1024


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
    last: tuple[Grid, FloorFacts, str] | None = None
    for grid, holds in _candidates(a, b, pair, sums):
        facts = floor_facts(a, b, pair, grid)
        problem = what_is_wrong(facts, grid)
        floor = facts.floor / sums.a.norm if sums.a.norm else None
        if problem is None and holds(facts):
            return TensorVerdict("rounding", None, grid.name, Exact(relative), floor)
        last = grid, facts, problem or f"not as {grid.name} rounds"
    if last is None:
        text = f"moved by {relative:.3g} of its size, and no rounding of {pair.b.encoding} is known"
        return TensorVerdict("more_than_rounding", text, None, Exact(relative))
    grid, facts, problem = last
    floor = facts.floor / sums.a.norm
    return TensorVerdict("more_than_rounding", problem, grid.name, Exact(relative), floor)


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
    names = list(dict.fromkeys((*_own(pair), "BF16")))
    for name in names:
        if (grid := plain_grid(name)) is not None:
            yield grid, _any
    bits = shown_bits(a, b, pair) if len(pair.a.shape) > 1 else None
    if bits == 4:
        for size in (32, 64, 128, None):
            yield Grid("int4", in_groups(size, grids.symmetric(4, 7.0)), size), _any
    if bits == 8:
        yield Grid("int8", in_groups(None, grids.symmetric(8, 127.0))), _any
        fp8 = grids.by_scale(sums.max_abs_a / 448.0, grids.E4M3)
        yield Grid("fp8", fp8), _is_reproduced


def _own(pair: TensorPair) -> tuple[str, ...]:
    """The types finer than bf16 that may have rounded it, and its own."""
    own = pair.b.dtype.name
    return {"F64": ("F32", "F16"), "F32": ("F32", "F16")}.get(own, (own,))


def _any(facts: FloorFacts) -> bool:
    return True


def _is_reproduced(facts: FloorFacts) -> bool:
    """A cast is exact: what is of its size by chance is something else."""
    return facts.reproduced


def shown_bits(a: Checkpoint, b: Checkpoint, pair: TensorPair) -> int | None:
    """4 or 8, where the values of b are so few that codes of so many bits must be behind them.

    Looks at the beginnings of eight rows. A change that is no rounding leaves as many values as
    there were.
    """
    rows, columns = rows_of(pair.a.shape)
    places = sorted({row * rows // _LOOKED_AT for row in range(_LOOKED_AT)})
    wide = min(columns, _LOOKED_WIDE)
    x, y = (
        [_beginning(side, pair.name, row * columns, wide) for row in places] for side in (a, b)
    )
    if sum(map(_levels, y)) > _FEWER * sum(map(_levels, x)):
        return None
    narrow = min(columns, grids.SEGMENT)
    return 4 if max(_levels(row[:narrow]) for row in y) <= narrow * _FEW_LEVELS / 128 else 8


def _beginning(side: Checkpoint, name: str, start: int, size: int) -> grids.Floats:
    blocks = side.blocks(name, start=start, stop=start + size)
    return np.concatenate([block.astype(np.float64) for block in blocks])


def _levels(values: grids.Floats) -> int:
    return int(np.unique(values).size)
