"""Which tensor of a faces which of b: by name, with every name accounted for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from netdistance.checkpoints.base import Checkpoint, TensorSpec
from netdistance.errors import NothingComparableError
from netdistance.pairing.suggest import suggest_rule

NO_TIES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TensorPair:
    """Two tensors of one name and shape; `unreadable` says why they cannot be measured.

    `tied_to` names a pair that has all of its elements on both sides: an earlier one that has the
    same, or one that has more.
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
    ties_a: Mapping[str, str] = NO_TIES,
    ties_b: Mapping[str, str] = NO_TIES,
) -> Pairing:
    """Pair by name. Nothing is intersected silently: each unmatched name is listed.

    The ties of a side lead from a name to that of the tensor with its elements, as
    `Checkpoint.ties`.
    """
    shared = sorted(a.keys() & b.keys(), key=natural_key)
    pairs = [TensorPair(name, a[name], b[name], _unreadable(a[name], b[name])) for name in shared]
    only_a = tuple(sorted(a.keys() - b.keys(), key=natural_key))
    only_b = tuple(sorted(b.keys() - a.keys(), key=natural_key))
    reshaped = tuple(pair for pair in pairs if pair.a.shape != pair.b.shape)
    alike = [pair for pair in pairs if pair.a.shape == pair.b.shape]
    lonely = (
        *(a[name] for name in _uncovered(only_a, alike, a, ties_a)),
        *(b[name] for name in _uncovered(only_b, alike, b, ties_b)),
        *(pair.a for pair in reshaped),
    )
    return Pairing(
        pairs=_tied(alike, (a, ties_a), (b, ties_b)),
        only_a=only_a,
        only_b=only_b,
        reshaped=reshaped,
        lonely_weights=tuple(spec.name for spec in lonely if spec.is_weight),
    )


def _tied(
    pairs: Sequence[TensorPair],
    *sides: tuple[Mapping[str, TensorSpec], Mapping[str, str]],
) -> tuple[TensorPair, ...]:
    """The pairs, each with the first that has all of its elements on both sides."""
    if not all(ties for _, ties in sides):
        return tuple(pairs)
    holders = {p.name: tuple(ties.get(p.name, p.name) for _, ties in sides) for p in pairs}
    first: dict[tuple[str, ...], str] = {}
    for pair in pairs:
        has = zip(sides, holders[pair.name], strict=True)
        if all(specs[holder].elements == pair.a.elements for (specs, _), holder in has):
            first.setdefault(holders[pair.name], pair.name)
    found = ((pair, first.get(holders[pair.name], pair.name)) for pair in pairs)
    return tuple(p if holder == p.name else replace(p, tied_to=holder) for p, holder in found)


def _uncovered(
    names: Sequence[str],
    pairs: Sequence[TensorPair],
    specs: Mapping[str, TensorSpec],
    ties: Mapping[str, str],
) -> list[str]:
    """The unmatched names of a side whose elements no pair covers under another name."""
    holders = ((pair, ties.get(pair.name, pair.name)) for pair in pairs)
    covered = {name for p, name in holders if specs[name].elements == p.a.elements}
    return [name for name in names if ties.get(name, name) not in covered]


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
            suggest_rule(pairing.only_a, pairing.only_b) or "Check that they are one architecture"
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
