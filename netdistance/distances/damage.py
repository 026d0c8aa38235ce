"""The verdict on one tensor: lossless, rounding, more than rounding, broken or not compared.

The bars stand on measured roundings and planted damage: docs/concepts/how-verdicts-are-judged.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from netdistance.checkpoints.base import Checkpoint
from netdistance.distances.candidate_grids import candidate_grids
from netdistance.distances.container_floor import FloorFacts, Part, floor_facts
from netdistance.distances.container_grids import Grid
from netdistance.distances.measure import why_without_distance
from netdistance.linalg.sums import PairSums
from netdistance.pairing.match import TensorPair
from netdistance.quantities import Exact, Quantity, Skipped
from netdistance.report.audit_rows import AuditVerdict
from netdistance.report.noise_floor import beyond_rounding, times

_ZERO = Exact(0.0)
# a relative distance from which nothing of a weight is left to speak of (product decision)
BROKEN = 0.5
# real rounding: 1.00 where the container's quantiser is known, up to 1.06 in another convention of
# the scale; calibrated ones reach 1.8 on MiniLM
_MULTIPLE, _CALIBRATED_MULTIPLE = 1.2, 2.0
# of a part, by rounding that is reproduced: up to 1.1 and 2.8; by other scales up to 2.0 and 9.9
_REPRODUCED_PART, _REPRODUCED_DEVIATIONS = 1.35, 4.0
_PART, _DEVIATIONS = 2.5, 14.0
# a relative floor that is no more than float32 arithmetic left beside the grid's numbers
_ON_GRID = 2.0**-22
# a gain of the whole: what scales kept in 8 bits explain, and a part of what coarse codes do
_GAIN, _GAIN_OF_FLOOR = 0.004, 0.15


@dataclass(frozen=True, slots=True)
class TensorVerdict:
    """What became of one tensor, and why, where that is not plain.

    `distance` and `size` are |b - a| and |a|, `floor` what rounding to `rounding_of` would cost;
    all None where they are not known.
    """

    verdict: AuditVerdict
    reason: str | None = None
    rounding_of: str | None = None
    distance: Quantity = _ZERO
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
    for grid, exact in candidate_grids(a, b, pair, sums.max_abs_a):
        facts = floor_facts(a, b, pair, grid)
        problem, floor = what_is_wrong(facts, grid), facts.floor / facts.size
        if problem is None and (facts.reproduced or not exact):
            return TensorVerdict("rounding", None, grid.name, Exact(relative), floor)
        apart = abs(math.log(facts.multiple)) if 0.0 < facts.multiple < math.inf else math.inf
        found.append((apart, problem or f"not as {grid.name} rounds", grid.name, floor))
        if exact and facts.reproduced:
            # this is how it was rounded: a coarser grid would excuse what is wrong with it
            found = found[-1:]
            break
    if not found:
        why = f"what rounding to {pair.b.encoding} costs is not known here"
        text = f"moved by {relative:.3g} of its size, and {why}"
        return TensorVerdict("not_compared", text, None, Exact(relative))
    # the floor that it comes nearest to says most of what happened
    _, problem, name, floor = min(found, key=lambda one: one[0])
    return TensorVerdict("more_than_rounding", problem, name, Exact(relative), floor)


def what_is_wrong(facts: FloorFacts, grid: Grid) -> str | None:
    """What rounding to the grid does not explain, with its numbers; None where it explains all."""
    bar = _CALIBRATED_MULTIPLE if grid.calibrated else _MULTIPLE
    if facts.multiple > bar and facts.floor <= _ON_GRID * facts.size and grid.spacing is None:
        far = f"moved by {facts.distance / facts.size:.3g} of its size"
        return f"{far}, though a lies on the {grid.name} grid: rounding would not have moved it"
    if facts.multiple > bar:
        return beyond_rounding(facts.multiple, grid.name)
    if abs(facts.gain) > max(_GAIN, _GAIN_OF_FLOOR * facts.floor / facts.size):
        return f"scaled by {1.0 + facts.gain:.3f} beyond {grid.name} rounding"
    whole = f"the whole moved only {times(facts.multiple)} x as far as {grid.name} rounding does"
    if grid.calibrated:
        # GPTQ moves single parts by up to 6 times their own size on purpose (MiniLM, measured)
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
