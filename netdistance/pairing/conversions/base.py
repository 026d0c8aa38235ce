"""What every conversion offers: readings of b that might be a tensor of a."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass

from netdistance.checkpoints.base import Checkpoint, TensorSpec
from netdistance.pairing.conversions.matrices import Index, Matrix, Stored
from netdistance.pairing.conversions.modules import Indices, Layers, Modules
from netdistance.report.document import Relation


@dataclass(frozen=True, slots=True)
class Match:
    """What a tensor of b is to the one of a that it faces, and by which transform."""

    relation: Relation
    transform: str | None = None


@dataclass(frozen=True, slots=True)
class Stratum:
    """Rows of a reading that are judged by themselves, as those of one part of a fused tensor.

    `place` has the row, or with `columns` the column, of each of `count`.
    """

    count: int
    place: Callable[[Index], Index]
    columns: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A tensor of a's shape, read from b; `plain` names a tensor of b that it is as it lies."""

    match: Match
    matrix: Matrix
    plain: str | None = None
    strata: tuple[Stratum, ...] = ()  # none: all rows together


@dataclass(frozen=True, slots=True)
class Candidate:
    """A way to read a module of a from b, in every layer.

    `key` is equal for what reads the same rows of the same tensors; `same_name` where b has a
    module of that very name.
    """

    conversion: str
    label: str
    key: Hashable
    read: Callable[[Indices, str], Reading | None]
    same_name: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A module of a that is to be found in b, with the tensors of it that are."""

    pattern: str
    layers: Layers


@dataclass(frozen=True, slots=True)
class Situation:
    """What stands open on both sides, by the names that b's tensors have once renamed.

    `far` are modules that both sides have and whose numbers are far apart; `paired` those of b
    that stand beside one of a.
    """

    b: Checkpoint
    targets: Mapping[str, Target]
    open_b: Modules
    far: Mapping[str, Layers]
    paired: Modules

    def sources(self, target: Target) -> Iterator[tuple[str, Layers]]:
        """Modules of b that might be this one: those without a partner, and its own where far."""
        yield from self.open_b.items()
        if target.pattern in self.far:
            yield target.pattern, self.far[target.pattern]

    def stored(self, spec: TensorSpec) -> Stored:
        """A tensor of b."""
        return Stored.of(self.b, spec)


@dataclass(frozen=True, slots=True)
class Conversion:
    """One thing that converters do to weights.

    `propose` looks at names and shapes alone; `source` says who does it.
    """

    name: str
    source: str
    propose: Callable[[Target, Situation], Iterator[Candidate]]
