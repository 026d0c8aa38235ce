"""Which formats hold a tensor already: rounding it to one of them again would not move it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import Checkpoint
from netdistance.grids.formats import INT4_GROUP, INT4_TOP, INT8_TOP
from netdistance.linalg.leaves import LEAF_ELEMENTS
from netdistance.linalg.rounding_sums import FP8_LEAST_EXPONENT, FP8_STEP, FP8_TOP
from netdistance.pairing.match import TensorPair

# a row is held whole: 32 MiB of float64
_MOST_ROW = 1 << 22
# nearly every tensor is off every grid within its first elements
_FIRST_LOOK = 1 << 12
# a stored code k * s carries the rounding of k * s, of s and of the largest it is compared with
_ROUNDINGS = 3.0
_UNIT = {"F16": 2.0**-11, "BF16": 2.0**-8}
_FLOAT32_UNIT = 2.0**-24
# how likely a random tensor may be to pass
_CHANCE = 1e-6

Floats = NDArray[np.float64]


def grids_of(a: Checkpoint, pair: TensorPair, largest: float) -> frozenset[str]:
    """The formats (int8, int4, fp8) on whose grid every element lies, within what storing rounds.

    The grids are those of `linalg.rounding_sums`, with `largest` the largest magnitude, not 0. A
    format whose codes the storage type cannot tell apart, so few elements that chance would do, and
    a tensor of longer rows than 2^22 are not judged. Elsewhere this reads until the first element
    off every grid.

    Raises:
        CheckpointError: the file ended early or cannot be read.
    """
    unit = _UNIT.get(pair.a.dtype.name, _FLOAT32_UNIT)
    slacks = {name: _ROUNDINGS * unit * top for name, (top, _) in _GRIDS.items()}
    count = pair.a.shape[0]
    row = pair.a.elements // count
    if row > _MOST_ROW:
        return frozenset()
    # the largest of a group is on the grid by its definition, the others would have to be by chance
    groups = {"int8": count, "int4": count * -(-row // INT4_GROUP), "fp8": 1}
    held = {
        name
        for name, slack in slacks.items()
        if not _by_chance(2.0 * slack, pair.a.elements - groups[name])
    }
    for rows in _whole_rows(a, pair.name, row):
        first = max(1, _FIRST_LOOK // row)
        for part in (rows[:first], rows[first:]):
            held = {n for n in held if _miss(_GRIDS[n][1](part, largest)) <= slacks[n]}
            if not held:
                return frozenset()
    return frozenset(held)


def _by_chance(slack: float, codes: int) -> bool:
    """Whether so many random codes could all be so near to whole numbers."""
    return codes > 0 and (slack >= 1.0 or codes * math.log(slack) > math.log(_CHANCE))


def _whole_rows(a: Checkpoint, name: str, row: int) -> Iterator[Floats]:
    """The rows of a tensor in order, (rows, row), a few at a time."""
    rest: Floats = np.empty(0)
    for block in a.blocks(name, size=LEAF_ELEMENTS):
        wide = block.astype(np.float64)
        rest = np.concatenate([rest, wide]) if rest.size else wide
        whole = rest.size // row * row
        if whole:
            yield rest[:whole].reshape(-1, row)
            rest = rest[whole:]


def _miss(codes: Floats) -> float:
    """How far the worst code is from a whole number."""
    return float(np.abs(codes - np.rint(codes)).max(initial=0.0))


def _int8_codes(rows: Floats, largest: float) -> Floats:
    return _codes(rows, INT8_TOP)


def _int4_codes(rows: Floats, largest: float) -> Floats:
    whole = rows.shape[1] // INT4_GROUP * INT4_GROUP
    groups = _codes(rows[:, :whole].reshape(-1, INT4_GROUP), INT4_TOP)
    return np.concatenate([groups.ravel(), _codes(rows[:, whole:], INT4_TOP).ravel()])


def _codes(rows: Floats, top: int) -> Floats:
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    # a row of zeros has code 0 for any step
    return rows * (top / np.where(largest > 0.0, largest, np.inf))


def _fp8_codes(rows: Floats, largest: float) -> Floats:
    scaled = rows * (FP8_TOP / largest)
    exponent = np.maximum(np.frexp(scaled)[1] - 1, FP8_LEAST_EXPONENT)
    codes: Floats = np.ldexp(scaled / FP8_STEP, -exponent)
    return codes


# the largest code, and the codes of rows, whole where an element lies on the grid
_GRIDS: dict[str, tuple[float, Callable[[Floats, float], Floats]]] = {
    "int8": (INT8_TOP, _int8_codes),
    "int4": (INT4_TOP, _int4_codes),
    "fp8": (2.0 / FP8_STEP, _fp8_codes),
}
