"""b as it would be with a's names and layout: found by structure, decided by value."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field

from netdistance.checkpoints.base import Checkpoint, TensorSpec
from netdistance.pairing.conversions.base import (
    Candidate,
    Conversion,
    Match,
    Situation,
    Target,
)
from netdistance.pairing.conversions.deciding import FITS, Decision, Sampler, decide, score_of
from netdistance.pairing.conversions.found import Found
from netdistance.pairing.conversions.many import JOINED, SPLIT
from netdistance.pairing.conversions.modules import Modules, modules_of
from netdistance.pairing.conversions.one_to_one import (
    NORM_PLUS_ONE,
    RENAMED,
    ROTARY,
    TIED_HEAD,
    TRANSPOSED,
    as_it_lies,
    is_embedding,
)
from netdistance.pairing.conversions.prefix import renamed_heads
from netdistance.report.document import Ambiguous

# of the readings that fit alike, so many are named
_MOST_LISTED = 8
# readings that are looked at in all, a millisecond each, and where they are only to be suggested:
# a language model has some hundreds; a network whose layers are not numbered has their square
MOST_TRIED, MOST_SUGGESTED = 1 << 17, 1 << 11
# a tied head is asked for last: it is another tensor, read twice
CONVERSIONS: tuple[Conversion, ...] = (
    *(RENAMED, TRANSPOSED, ROTARY, NORM_PLUS_ONE, SPLIT, JOINED),
    TIED_HEAD,
)


@dataclass(frozen=True, slots=True)
class Conversions:
    """How each tensor of the view is to a's of its name, and what could not be decided.

    A name that is not in `matches` faces its own as it lies.
    """

    matches: Mapping[str, Match] = field(default_factory=dict)
    ambiguous: tuple[Ambiguous, ...] = ()
    notes: tuple[str, ...] = ()


def converted(
    a: Checkpoint, b: Checkpoint, *, most: int | None = None
) -> tuple[Checkpoint, Conversions]:
    """A view of b that offers a's names, and how each tensor of it was found.

    b itself where nothing is to be converted. Samples of both files are read, never a whole tensor.
    What no reading explains, or more than one does, keeps b's name and numbers. After `most`
    readings the search ends, which is noted. Closing the view closes b.

    Raises:
        CheckpointError: a file cannot be read.
    """
    heads = renamed_heads(a, b)
    names = {heads.get(old, old): old for old in b.specs}
    situation = situation_of(a, b, names)
    search = _Search(a, situation, MOST_TRIED if most is None else most)
    decisions = {p: search.decided(target) for p, target in situation.targets.items()}
    chosen, clashing = _exclusive(decisions)
    found = Found(situation, names)
    for pattern, candidate in chosen.items():
        found.add(search.own, situation.targets[pattern], candidate)
    for pattern, target in situation.targets.items():
        if pattern not in chosen and pattern not in clashing and not decisions[pattern].alike:
            found.add_tied(a, target)
    found.leave_out_tied()
    ambiguous = tuple(_ambiguous(situation, decisions, clashing))
    if not found.changes:
        return b, Conversions({}, ambiguous, search.notes)
    return found.view(), Conversions(found.matches, ambiguous, search.notes)


def suggest_conversions(a: Checkpoint, b: Checkpoint) -> str | None:
    """The option that would match more of b, or None.

    Raises:
        CheckpointError: a file cannot be read.
    """
    _, found = converted(a, b, most=MOST_SUGGESTED)
    more = len(found.matches)
    return f"Try --conversions, which would match {more:,} more" if more else None


def situation_of(a: Checkpoint, b: Checkpoint, names: Mapping[str, str]) -> Situation:
    """What is open and what is paired; `names` are b's, by what they are called now."""
    other = {name: b.specs[old] for name, old in names.items()}
    alike = {n for n, s in other.items() if n in a.specs and a.specs[n].shape == s.shape}
    own, open_a = _parted(a.specs, alike)
    paired, open_b = _parted(other, alike)
    targets = {pattern: Target(pattern, layers) for pattern, layers in open_a.items()}
    far: Modules = {}
    # what stays of a module that is open in part follows the rest of it
    for pattern in (own.keys() & paired.keys()) - targets.keys():
        target = Target(pattern, own[pattern])
        as_is = as_it_lies(target, pattern, paired[pattern], b)
        if not score_of(Sampler(a), target, as_is).distance < FITS:
            far[pattern], targets[pattern] = paired[pattern], target
    return Situation(b, dict(sorted(targets.items())), open_b, far, paired)


def _parted(specs: Mapping[str, TensorSpec], alike: set[str]) -> tuple[Modules, Modules]:
    """The modules of these tensors: those that have a partner, and those that have none."""
    within = modules_of((name, spec) for name, spec in specs.items() if name in alike)
    return within, modules_of((name, spec) for name, spec in specs.items() if name not in alike)


class _Search:
    """Decides one module after the other, as long as there are readings left to be tried."""

    def __init__(self, a: Checkpoint, situation: Situation, most: int) -> None:
        self.own, self._situation, self._most, self._left = Sampler(a), situation, most, most
        self._skipped = 0

    def decided(self, target: Target) -> Decision:
        """What is decided of it; nothing where not all of its readings can be tried."""
        proposals = (c.propose(target, self._situation) for c in CONVERSIONS if c is not TIED_HEAD)
        every = (candidate for found in proposals for candidate in found)
        candidates = list(itertools.islice(every, self._left + 1))
        if len(candidates) > self._left:
            self._left, self._skipped = 0, self._skipped + 1
            return Decision()
        self._left -= len(candidates)
        return decide(self.own, target, candidates)

    @property
    def notes(self) -> tuple[str, ...]:
        """That the search ended early, where it did."""
        if not self._skipped:
            return ()
        of = f"{self._skipped:,} of {len(self._situation.targets):,} modules"
        return (f"conversions: {of} were not looked for after {self._most:,} readings",)


def _exclusive(decisions: Mapping[str, Decision]) -> tuple[dict[str, Candidate], set[str]]:
    """What is chosen, each reading once, and modules that want the same one.

    An embedding comes before the head that is tied to it, which is then asked for again.
    """
    wanted: dict[Hashable, list[str]] = {}
    for pattern, decision in decisions.items():
        if decision.chosen is not None:
            wanted.setdefault(decision.chosen.key, []).append(pattern)
    chosen, clashing = dict[str, Candidate](), set[str]()
    for patterns in wanted.values():
        first = [p for p in patterns if is_embedding(p)] if len(patterns) > 1 else patterns
        if len(first) != 1:
            clashing |= set(patterns)
        elif (candidate := decisions[first[0]].chosen) is not None:
            chosen[first[0]] = candidate
    return chosen, clashing


def _ambiguous(
    situation: Situation, decisions: Mapping[str, Decision], clashing: set[str]
) -> Iterator[Ambiguous]:
    for pattern, decision in decisions.items():
        labels = tuple(candidate.label for candidate in decision.alike[:_MOST_LISTED])
        if decision.chosen is not None and pattern in clashing:
            labels = (f"{decision.chosen.label}, which another fits as well",)
        elif len(labels) == 1:
            labels = (f"{labels[0]}, where all numbers are one: they tell nothing",)
        for tensors in situation.targets[pattern].layers.values() if labels else ():
            yield from (Ambiguous(spec.name, labels) for spec in tensors.values())
