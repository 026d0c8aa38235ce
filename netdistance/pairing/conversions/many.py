"""Conversions of several tensors into one: query, key and value, gate and up, experts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from netdistance.pairing.conversions.base import (
    Candidate,
    Conversion,
    Match,
    Reading,
    Situation,
    Stratum,
    Target,
)
from netdistance.pairing.conversions.layouts import Fusion, fusions
from netdistance.pairing.conversions.matrices import (
    Gathered,
    Index,
    Matrix,
    Stored,
    Turned,
    one_part,
)
from netdistance.pairing.conversions.modules import Indices, Layers, Modules, parent_of, shape_of

# query, key and value; of more siblings than this no three are tried
_MOST_PARTS, _MOST_SIBLINGS = 3, 8


def _split(target: Target, situation: Situation) -> Iterator[Candidate]:
    """Part of a tensor that b has fused."""
    shape = shape_of(target.layers)
    if len(shape) != 2:
        return
    modules = {p: other.layers for p, other in situation.targets.items()}
    siblings = next(f for f in _families(modules) if target.pattern in f)
    for pattern, layers in situation.sources(target):
        experts = _experts(target.layers, layers)
        stored = shape_of(layers)[1:] if experts else shape_of(layers)
        for turned in (False, True) if len(stored) == 2 else ():
            rows, columns = stored[::-1] if turned else stored
            if columns != shape[1]:
                continue
            least = 1 if experts else 2
            for fusion, part in _seats(target, siblings, rows, least):
                whole = _Whole(situation, pattern, layers, bool(experts), turned, fusion)
                span = fusion.span(part), fusion.groups
                label = f"{fusion.told(part)} of {pattern}{', transposed' if turned else ''}"
                key = ("split", pattern, turned, rows, span)
                yield Candidate("split", label, key, partial(whole.part, part, target))


def _seats(
    target: Target, siblings: Modules, rows: int, least: int
) -> Iterator[tuple[Fusion, int]]:
    """Ways in which this module may be part of so many rows, beside siblings; each seat once."""
    seen = set()
    for chosen in (order for order in _orders(siblings, least) if target.pattern in order):
        sizes = [_rows(siblings[p]) for p in chosen]
        part = chosen.index(target.pattern)
        for fusion in fusions(sizes) if sum(sizes) == rows else ():
            seat = fusion.span(part), fusion.groups
            if seat not in seen:
                seen.add(seat)
                yield fusion, part


def _families(modules: Modules) -> list[Modules]:
    """Matrices by who are siblings: in one module, of one width and in the same layers."""
    families: dict[object, Modules] = {}
    for pattern, layers in modules.items():
        if len(shape := shape_of(layers)) == 2:
            key = parent_of(pattern), shape[1], frozenset(layers)
            families.setdefault(key, {})[pattern] = layers
    return list(families.values())


def _orders(family: Modules, least: int) -> Iterator[tuple[str, ...]]:
    """Siblings in every order; of too many none."""
    for count in range(least, _MOST_PARTS + 1):
        if len(family) <= _MOST_SIBLINGS:
            yield from itertools.permutations(family, count)


def _rows(layers: Layers) -> int:
    return shape_of(layers)[0]


def _experts(each: Layers, stacked: Layers) -> int:
    """How many experts a module of three axes stacks, if the other has one for each of them."""
    shape = shape_of(stacked)
    if len(shape) != 3:
        return 0
    first = next(iter(stacked))
    found = {indices[-1] for indices in each if indices and indices[:-1] == first}
    if len(found) != shape[0] or found != set(map(str, range(len(found)))):
        return 0
    return shape[0]


@dataclass(frozen=True, slots=True)
class _Whole:
    """A fused module of b, or one for each expert."""

    situation: Situation
    pattern: str
    layers: Layers
    experts: bool
    turned: bool
    fusion: Fusion

    def part(self, part: int, target: Target, indices: Indices, kind: str) -> Reading | None:
        """A part of it, in one layer."""
        own = target.layers[indices][kind]
        spec = self.layers.get(indices[:-1] if self.experts else indices, {}).get(kind)
        if spec is None:
            return None
        width = spec.shape[-1] if kind == "weight" else 1
        matrix: Matrix = Stored(self.situation.b, spec, width)
        each = matrix.shape[0] // spec.shape[0] if self.experts else matrix.shape[0]
        expert = int(indices[-1]) if self.experts else 0
        if self.experts:
            matrix = Gathered((matrix,), each, one_part(partial(_moved, expert * each)))
        turned = self.turned and kind == "weight"
        matrix = Turned(matrix) if turned else matrix
        rows = self.fusion.rows[part]
        if matrix.shape[0] != self.fusion.total or own.elements != rows * matrix.shape[1]:
            return None
        of = f"expert {expert} of {spec.name}" if self.experts else spec.name
        whole = len(self.fusion.rows) == 1
        words = of if whole else f"{self.fusion.told(part)} of {of}"
        what = f"split: {words}{', transposed' if turned else ''}"
        where = one_part(partial(self.fusion.place, part))
        return Reading(Match("transformed", what), Gathered((matrix,), rows, where))


def _joined(target: Target, situation: Situation) -> Iterator[Candidate]:
    """A fused tensor whose parts b has by themselves."""
    shape = shape_of(target.layers)
    modules = situation.open_b
    if len(shape) not in (2, 3):
        return
    for turned in (False, True):
        rows, columns = shape[-2:][::-1] if turned else shape[-2:]
        fitting = {p: m for p, m in modules.items() if _fits(m, rows, columns)}
        for chosen in (order for f in _families(fitting) for order in _orders(f, 1)):
            parts = [modules[p] for p in chosen]
            experts = len(shape) == 3
            if (len(chosen) == 1 and not experts) or (experts != bool(_stacked(target, parts))):
                continue
            sizes = [_rows(layers) for layers in parts]
            if sum(sizes) != rows:
                continue
            for fusion in fusions(sizes):
                pieces = _Pieces(situation, tuple(parts), experts, turned, fusion)
                how = f", in {fusion.groups:,} groups" if fusion.groups > 1 else ""
                label = f"{', '.join(chosen)} joined{how}{', transposed' if turned else ''}"
                key = ("joined", chosen, turned, fusion)
                yield Candidate("joined", label, key, partial(pieces.whole, target))


def _stacked(target: Target, parts: list[Layers]) -> bool:
    return all(_experts(layers, target.layers) for layers in parts)


def _fits(layers: Layers, rows: int, columns: int) -> bool:
    """Whether it may be a part of so many rows."""
    shape = shape_of(layers)
    return len(shape) == 2 and shape[0] <= rows and shape[1] == columns


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Modules of b that are one in a."""

    situation: Situation
    parts: tuple[Layers, ...]
    experts: bool
    turned: bool
    fusion: Fusion

    def whole(self, target: Target, indices: Indices, kind: str) -> Reading | None:
        """What they make together, in one layer."""
        own = target.layers[indices][kind]
        turned = self.turned and kind == "weight"
        stack = [(*indices, str(e)) for e in range(own.shape[0])] if self.experts else [indices]
        made = [self._one(at, kind, turned) for at in stack]
        matrices = tuple(matrix for matrix in made if matrix is not None)
        if len(matrices) < len(made):
            return None
        rows, columns = matrices[0].shape
        if own.elements != rows * columns * len(matrices):
            return None
        matrix = matrices[0]
        if self.experts:
            matrix = Gathered(matrices, rows * len(matrices), partial(np_divmod, rows))
        names = [_last(spec.name) for spec in matrices[0].specs]
        groups = f", in {self.fusion.groups:,} groups" if self.fusion.groups > 1 else ""
        of = f" of {len(matrices):,} experts" if self.experts else ""
        what = f"joined: {', '.join(names)}{of}{groups}{', transposed' if turned else ''}"
        strata = tuple(self._strata(rows, len(matrices), turned))
        return Reading(Match("transformed", what), matrix, strata=strata)

    def _one(self, indices: Indices, kind: str, turned: bool) -> Matrix | None:
        specs = [layers.get(indices, {}).get(kind) for layers in self.parts]
        stored = [self.situation.stored(spec) for spec in specs if spec is not None]
        if [part.shape[0] for part in stored] != list(self.fusion.rows):
            return None
        matrix = Gathered(tuple(stored), self.fusion.total, self.fusion.where)
        return Turned(matrix) if turned else matrix

    def _strata(self, rows: int, experts: int, turned: bool) -> Iterable[Stratum]:
        for part, count in enumerate(self.fusion.rows):
            place = partial(self.fusion.place, part)
            if turned:
                yield Stratum(count, place, columns=True)
            else:
                yield Stratum(count * experts, partial(_in_stack, place, count, rows))


def np_divmod(rows: int, index: Index) -> tuple[Index, Index]:
    """Which of the matrices of so many rows each has a row of their stack, and which row of it."""
    return index // rows, index % rows


def _in_stack(place: partial[Index], count: int, rows: int, index: Index) -> Index:
    return index // count * rows + place(index % count)


def _moved(by: int, rows: Index) -> Index:
    return rows + by


def _last(name: str) -> str:
    """The module's own name, without where it is: q_proj of layers.0.attn.q_proj.weight."""
    parts = [part for part in name.split(".") if part not in ("weight", "bias")]
    return parts[-1] if parts else name


SPLIT = Conversion("split", "transformers: GPT-2 c_attn, phi3 qkv_proj, experts fused", _split)
JOINED = Conversion("joined", "the same, with a fused and b split", _joined)
