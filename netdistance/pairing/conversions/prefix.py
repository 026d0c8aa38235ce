"""A head that one side's names have and the other's have not: model., module., transformer."""

from __future__ import annotations

from collections.abc import Mapping

from netdistance.checkpoints.base import Checkpoint
from netdistance.pairing.conversions.base import Match, Reading
from netdistance.pairing.conversions.deciding import FITS, median, sampled
from netdistance.pairing.conversions.matrices import Stored
from netdistance.pairing.conversions.modules import is_telling
from netdistance.pairing.suggest import likeliest_heads

# a model beside others has two heads, such as model. and language_model.; pairs that are looked at
_MOST_HEADS, _MOST_PAIRS = 3, 16


def renamed_heads(a: Checkpoint, b: Checkpoint) -> dict[str, str]:
    """The names of b that another head makes one of a's, with that name.

    The names say which tensor is which; the numbers of up to 16 of them say whether it is so.

    Raises:
        CheckpointError: a file cannot be read.
    """
    found: dict[str, str] = {}
    for _ in range(_MOST_HEADS):
        taken = set(found.values())
        only_a = [name for name in a.specs if name not in b.specs and name not in taken]
        only_b = [name for name in b.specs if name not in a.specs and name not in found]
        heads = likeliest_heads(only_a, only_b)
        if heads is None:
            break
        tails = {name: name.removeprefix(heads.a) for name in only_a}
        # weight alone is no name of a module
        names = {heads.b + tail: name for name, tail in tails.items() if "." in tail}
        more = {old: names[old] for old in only_b if old.startswith(heads.b) and old in names}
        if not (more and _are_near(a, b, more)):
            break
        found |= more
    return found


def _are_near(a: Checkpoint, b: Checkpoint, names: Mapping[str, str]) -> bool:
    """Whether most of these tensors of b are near those of a."""
    alike = [
        (b.specs[old], a.specs[new])
        for old, new in names.items()
        if b.specs[old].shape == a.specs[new].shape
        and is_telling(b.specs[old])
        and is_telling(a.specs[new])
    ]
    step = max(1, len(alike) // _MOST_PAIRS)
    scores = [
        sampled(Stored.of(a, own), Reading(Match("renamed"), Stored.of(b, other)))
        for other, own in alike[::step]
    ]
    score = median(scores)
    return score.telling and score.distance < FITS
