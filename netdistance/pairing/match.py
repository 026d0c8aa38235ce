"""Which tensor of a faces which of b: by name, with every name accounted for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from netdistance.checkpoints.base import TensorSpec


@dataclass(frozen=True, slots=True)
class TensorPair:
    """Two tensors of one name and shape; `unreadable` says why they cannot be measured."""

    name: str
    a: TensorSpec
    b: TensorSpec
    unreadable: str | None = None


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


def pair_tensors(a: Mapping[str, TensorSpec], b: Mapping[str, TensorSpec]) -> Pairing:
    """Pair by name. Nothing is intersected silently: each unmatched name is listed."""
    shared = sorted(a.keys() & b.keys(), key=natural_key)
    pairs = [TensorPair(name, a[name], b[name], _unreadable(a[name], b[name])) for name in shared]
    only_a = tuple(sorted(a.keys() - b.keys(), key=natural_key))
    only_b = tuple(sorted(b.keys() - a.keys(), key=natural_key))
    reshaped = tuple(pair for pair in pairs if pair.a.shape != pair.b.shape)
    lonely = (*(a[n] for n in only_a), *(b[n] for n in only_b), *(pair.a for pair in reshaped))
    return Pairing(
        pairs=tuple(pair for pair in pairs if pair.a.shape == pair.b.shape),
        only_a=only_a,
        only_b=only_b,
        reshaped=reshaped,
        lonely_weights=tuple(spec.name for spec in lonely if spec.is_weight),
    )


def _unreadable(a: TensorSpec, b: TensorSpec) -> str | None:
    for side, spec in (("a", a), ("b", b)):
        if spec.unreadable is not None:
            return f"in {side}: {spec.unreadable}"
    integral = [spec.dtype.kind in ("integer", "bool") for spec in (a, b)]
    if integral[0] != integral[1]:
        return f"stored as {a.encoding} in a and {b.encoding} in b: codes are not values"
    return None
