"""Which tensor of a faces which of b: by name, with every name accounted for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from netdistance.checkpoints.base import Checkpoint, TensorSpec
from netdistance.checkpoints.ties import NO_TIES, Place, Ties, place_of
from netdistance.errors import NothingComparableError
from netdistance.pairing.conversions import suggest_conversions
from netdistance.pairing.suggest import suggest_rule


@dataclass(frozen=True, slots=True)
class TensorPair:
    """Two tensors of one name and shape; `unreadable` says why they cannot be measured.

    `tied_to` names a pair that has all of its elements, in the same places on both sides: an
    earlier one that has the same, or one that has more.
    """

    name: str
    a: TensorSpec
    b: TensorSpec
    unreadable: str | None = None
    tied_to: str | None = None


@dataclass(frozen=True, slots=True)
class Pairing:
    """Every name of both sides, exactly once, in natural name order."""

    pairs: tuple[TensorPair, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    reshaped: tuple[TensorPair, ...]
    lonely_weights: tuple[str, ...]  # weights without a partner of the same shape


def natural_key(name: str) -> tuple[tuple[int, int, str, str], ...]:
    """The sort key that puts layer 2 before layer 10.

    >>> sorted(["l.10.w", "l.2.w"], key=natural_key)
    ['l.2.w', 'l.10.w']
    """
    # digits compare by length, then as text: int() refuses the 5,000 digits of a hostile name
    parts = re.split(r"([0-9]+)", name)
    return tuple(
        (1, len(digits := part.lstrip("0")), digits, part) if index % 2 else (0, 0, part, "")
        for index, part in enumerate(parts)
    )


def pair_tensors(
    a: Mapping[str, TensorSpec],
    b: Mapping[str, TensorSpec],
    *,
    ties_a: Ties = NO_TIES,
    ties_b: Ties = NO_TIES,
) -> Pairing:
    """Pair by name. Nothing is intersected silently: each unmatched name is listed.

    The ties of a side are `Checkpoint.ties`: where a tensor's elements are among another's.
    """
    shared = sorted(a.keys() & b.keys(), key=natural_key)
    pairs = [TensorPair(name, a[name], b[name], _unreadable(a[name], b[name])) for name in shared]
    only_a = tuple(sorted(a.keys() - b.keys(), key=natural_key))
    only_b = tuple(sorted(b.keys() - a.keys(), key=natural_key))
    reshaped = tuple(pair for pair in pairs if pair.a.shape != pair.b.shape)
    alike = [pair for pair in pairs if pair.a.shape == pair.b.shape]
    lonely = (
        *(a[name] for name in _uncovered(only_a, alike, ties_a)),
        *(b[name] for name in _uncovered(only_b, alike, ties_b)),
        *(pair.a for pair in reshaped),
    )
    return Pairing(
        pairs=_tied(alike, ties_a, ties_b),
        only_a=only_a,
        only_b=only_b,
        reshaped=reshaped,
        lonely_weights=tuple(spec.name for spec in lonely if spec.is_weight),
    )


def _tied(pairs: Sequence[TensorPair], a: Ties, b: Ties) -> tuple[TensorPair, ...]:
    """The pairs, each with another that has its elements on both sides, in the same places."""
    if not (a and b):
        return tuple(pairs)
    names = {pair.name for pair in pairs}
    first: dict[tuple[Place, Place], str] = {}
    found = []
    for pair in pairs:
        places = place_of(a, pair.name), place_of(b, pair.name)
        holder = places[0].holder if places[0] == places[1] else None
        if holder not in names or holder == pair.name:
            holder = first.setdefault(places, pair.name)
        found.append(pair if holder == pair.name else replace(pair, tied_to=str(holder)))
    return tuple(found)


def _uncovered(names: Sequence[str], pairs: Sequence[TensorPair], ties: Ties) -> list[str]:
    """The unmatched names of a side whose elements no pair covers under another name."""
    paired = {pair.name for pair in pairs}
    covered = {place_of(ties, name) for name in paired} if ties else set()
    return [
        name
        for name in names
        if (place := place_of(ties, name)) not in covered and place.holder not in paired
    ]


def _unreadable(a: TensorSpec, b: TensorSpec) -> str | None:
    for side, spec in (("a", a), ("b", b)):
        if spec.unreadable is not None:
            return f"in {side}: {spec.unreadable}"
    integral = [spec.dtype.kind in ("integer", "bool") for spec in (a, b)]
    if integral[0] != integral[1]:
        return f"stored as {a.encoding} in a and {b.encoding} in b: codes are not values"
    return None


def require_comparable(a: Checkpoint, b: Checkpoint, pairing: Pairing) -> None:
    """Check that at least one pair can be measured.

    Raises:
        NothingComparableError: a side holds no tensors, or no pair is readable; it says why.
    """
    for side in (a, b):
        if not side.specs:
            raise NothingComparableError(f"{side.path}: holds no tensors")
    if not any(pair.unreadable is None for pair in pairing.pairs):
        hint = (
            suggest_rule(pairing.only_a, pairing.only_b)
            or suggest_conversions(a, b)
            or "Check that they are one architecture"
        )
        raise NothingComparableError(
            f"{b.path}: shares no comparable tensor with {a.path}: "
            f"{len(pairing.only_a)} names only in a{_such_as(pairing.only_a)}, "
            f"{len(pairing.only_b)} only in b{_such_as(pairing.only_b)}, "
            f"{len(pairing.reshaped)} of other shape, {len(pairing.pairs)} unreadable"
            f"{_example(pairing)}. "
            f"{hint}"
        )


def _such_as(names: tuple[str, ...]) -> str:
    return f" (such as {names[0]!r})" if names else ""


def _example(pairing: Pairing) -> str:
    for pair in pairing.reshaped:
        return f" (such as {pair.name!r}: {_sides(pair.a)} and {_sides(pair.b)})"
    return next((f" (such as {p.name!r}: {p.unreadable})" for p in pairing.pairs), "")


def _sides(spec: TensorSpec) -> str:
    return " x ".join(map(str, spec.shape)) or "a scalar"
