"""Which reading of b is a tensor of a: decided by a sample of the numbers of both.

A candidate's score is |b - a| / |a - mean(a)| over a sample of each of a few layers, the lower
median of these. Unrelated numbers have 1.4 (the square root of 2) or more, also where all are about
1, as in a norm: that is why the mean is taken off. Rounding to 4 bits gives 0.1.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import Checkpoint, TensorSpec
from netdistance.pairing.conversions.base import Candidate, Reading, Stratum, Target
from netdistance.pairing.conversions.matrices import Index, Matrix, Stored
from netdistance.pairing.conversions.modules import KINDS, Indices, spread

# a reading fits below this; weights rounded to 2 bits are about here, unrelated ones at 1.4
FITS = 0.5
# and is chosen where the next best is at least so many times as far
_CLEAR = 2.0
# layers that are looked at of a module, rows of each, and numbers at least
_MOST_LAYERS, _ROWS, _NUMBERS = 8, 16, 2048
# samples that are held: 16 MiB of float32
_MOST_REMEMBERED = 2048
# in two layers, as far as what is not worth more of a look
_HOPELESS = 0.75


@dataclass(frozen=True, slots=True)
class Score:
    """How far a reading is; `telling` where a's sample is more than one number over and over."""

    distance: float
    telling: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """The candidate that was chosen, or those that fit alike; neither where none fits."""

    chosen: Candidate | None = None
    alike: tuple[Candidate, ...] = ()


def decide(own: Sampler, target: Target, candidates: Iterable[Candidate]) -> Decision:
    """The candidate that fits and stands clear of every other.

    Where a's numbers are all the same they tell nothing of another module's: then none is chosen.

    Raises:
        CheckpointError: a file cannot be read.
    """
    one_of_each = {candidate.key: candidate for candidate in candidates}.values()
    scored = [(score_of(own, target, candidate), candidate) for candidate in one_of_each]
    scored.sort(key=lambda pair: pair[0].distance)
    if not scored or not scored[0][0].distance < FITS:
        return Decision()
    best, first = scored[0]
    alike = [c for score, c in scored[1:] if not score.distance > _CLEAR * best.distance]
    if alike or not (best.telling or first.same_name):
        return Decision(alike=(first, *alike))
    return Decision(chosen=first)


@dataclass(frozen=True, slots=True)
class Sampler:
    """The reference, with what was sampled of it: every candidate is held against the same.

    What tensors of the other file hold is remembered too, where they are read as they lie.
    """

    a: Checkpoint
    taken: dict[Hashable, NDArray[Any]] = field(default_factory=dict)

    def stored(self, spec: TensorSpec, columns: int) -> Matrix:
        """One of its tensors, in rows of `columns`."""
        return _Remembered(Stored(self.a, spec, columns), self.taken)


@dataclass(frozen=True, slots=True)
class _Remembered:
    inner: Stored
    taken: dict[Hashable, NDArray[Any]]

    def beside(self, read: Matrix) -> Matrix:
        """What it is held against, remembered too where that costs no more than one sample."""
        return _Remembered(read, self.taken) if isinstance(read, Stored) else read

    @property
    def shape(self) -> tuple[int, int]:
        return self.inner.shape

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        return self.inner.specs

    def take(self, rows: Index, columns: Index) -> NDArray[Any]:
        inner = self.inner
        spans = rows.tobytes(), columns.tobytes()
        key = id(inner.file), inner.spec.name, inner.columns, *spans
        if (known := self.taken.get(key)) is not None:
            return known
        sample = inner.take(rows, columns)
        if len(self.taken) < _MOST_REMEMBERED:
            self.taken[key] = sample
        return sample


def score_of(own: Sampler, target: Target, candidate: Candidate) -> Score:
    """The lower median over some layers of how far their farthest tensor is."""
    layers = spread(target.layers, _MOST_LAYERS)
    first = layers[:: max(1, len(layers) - 1)]
    # most candidates are wrong: the weights of two layers show it
    looked = [_of_layer(own, target, candidate, indices, ("weight",)) for indices in first]
    if all(score.telling and score.distance > _HOPELESS for score in looked):
        return median(looked)
    return median([_of_layer(own, target, candidate, indices) for indices in layers])


def _of_layer(
    own: Sampler,
    target: Target,
    candidate: Candidate,
    indices: Indices,
    kinds: tuple[str, ...] = KINDS,
) -> Score:
    tensors = target.layers[indices]
    return _farthest(
        sampled(own.stored(tensors[kind], reading.matrix.shape[1]), reading)
        for kind in kinds
        if kind in tensors and (reading := candidate.read(indices, kind)) is not None
    )


def _farthest(scores: Iterable[Score]) -> Score:
    """The largest of those that tell something, or of all where none does; stops where hopeless."""
    farthest = Score(math.inf, telling=False)
    for number, score in enumerate(scores):
        if number == 0 or (score.telling, score.distance) > (farthest.telling, farthest.distance):
            farthest = score
        if farthest.telling and farthest.distance > _HOPELESS:
            break
    return farthest


def median(scores: Sequence[Score]) -> Score:
    """The lower median of those that tell something, of all where none does."""
    telling = any(score.telling for score in scores)
    told = sorted(score.distance for score in scores if score.telling or not telling)
    return Score(told[(len(told) - 1) // 2] if told else math.inf, telling)


def sampled(own: Matrix, reading: Reading) -> Score:
    """How far a sample of the reading is from a's own numbers; of several strata, the farthest."""
    strata = reading.strata or (Stratum(own.shape[0], _same),)
    return _farthest(_of_stratum(own, reading.matrix, stratum) for stratum in strata)


def _of_stratum(own: Matrix, read: Matrix, stratum: Stratum) -> Score:
    across = own.shape[0] if stratum.columns else own.shape[1]
    drawn, beside = _draw(stratum.count, across)
    picked = stratum.place(drawn)
    read = own.beside(read) if isinstance(own, _Remembered) else read
    rows, columns = (beside, picked) if stratum.columns else (picked, beside)
    with np.errstate(all="ignore"):  # what is not finite is seen below
        x, y = (side.take(rows, columns).astype(np.float64) for side in (own, read))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return Score(math.inf, telling=False)
    return _distance(x, y)


@lru_cache(maxsize=256)
def _draw(count: int, across: int) -> tuple[Index, Index]:
    """Rows of so many, and columns of those across: the same in every run."""
    draw = np.random.default_rng(0)
    rows = draw.choice(count, min(count, max(_ROWS, _NUMBERS // across)), replace=False)
    width = min(across, _NUMBERS // _ROWS)
    first = int(draw.integers(across - width + 1))
    return np.sort(rows), np.arange(first, first + width)


def _distance(x: NDArray[np.float64], y: NDArray[np.float64]) -> Score:
    largest = max(np.abs(x).max(initial=0.0), np.abs(y).max(initial=0.0))
    if largest > 0.0:  # squares of 1e200 are beyond float64
        x, y = x / largest, y / largest
    telling = bool(np.ptp(x) > 0.0)
    difference = float(np.linalg.norm(y - x))
    size = float(np.linalg.norm(x - x.mean() if telling else x))
    if size == 0.0:
        return Score(math.inf if difference else 0.0, telling)
    return Score(difference / size, telling)


def _same(rows: Index) -> Index:
    return rows
