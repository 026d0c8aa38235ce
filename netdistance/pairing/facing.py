"""Two files under the names by which they face each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from netdistance.checkpoints.base import Checkpoint
from netdistance.pairing.conversions import FITS, Conversions, converted, suggest_conversions
from netdistance.pairing.match import Pairing
from netdistance.pairing.rename import NameRules, filtered, renamed
from netdistance.pairing.suggest import suggest_rule
from netdistance.quantities import Quantity, point


def facing(
    a: Checkpoint, b: Checkpoint, rules: tuple[NameRules, NameRules], *, conversions: bool
) -> tuple[Checkpoint, Checkpoint, Conversions | None]:
    """Both under the names that face each other; with `conversions`, also what they found.

    Raises:
        CheckpointError: a file cannot be read, or two tensors would get one name.
        NothingComparableError: the rules leave no name.
    """
    if not conversions:
        return renamed(a, rules[0]), renamed(b, rules[1]), None
    # what is left out is left out of what was found: a fused tensor is told by all of its parts
    whole = [renamed(s, replace(r, only=(), skip=())) for s, r in zip((a, b), rules, strict=True)]
    view, found = converted(whole[0], whole[1])
    view.notes += found.notes
    left, right = filtered(whole[0], rules[0]), filtered(view, rules[1])
    ambiguous = tuple(unclear for unclear in found.ambiguous if unclear.name in left.specs)
    return left, right, replace(found, ambiguous=ambiguous)


def suggestion(
    a: Checkpoint, b: Checkpoint, pairing: Pairing, changes: Iterable[Quantity]
) -> str | None:
    """What else would match: a prefix, or conversions, where much is far or has no partner.

    `changes` are the relative distances of the pairs.

    Raises:
        CheckpointError: a file cannot be read.
    """
    far = any((change := point(value)) is not None and change >= FITS for value in changes)
    if not (far or pairing.only_a or pairing.only_b or pairing.reshaped):
        return None
    return suggest_rule(pairing.only_a, pairing.only_b) or suggest_conversions(a, b)
