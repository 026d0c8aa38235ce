"""What was found so far, tensor by tensor, and the view that it makes of b."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from netdistance.checkpoints.base import Checkpoint, TensorSpec
from netdistance.pairing.conversions.base import Candidate, Match, Reading, Situation, Target
from netdistance.pairing.conversions.deciding import Sampler, decide, sampled
from netdistance.pairing.conversions.modules import Layers, shape_of
from netdistance.pairing.conversions.one_to_one import TIED_HEAD, is_embedding
from netdistance.pairing.conversions.view import ConvertedCheckpoint, Offered


class Found:
    """Readings of b for names of a; what they use up is left out of the view."""

    def __init__(self, situation: Situation, names: Mapping[str, str]) -> None:
        """`names` are b's own, by what they are called now."""
        self._situation, self._names = situation, names
        self.matches = {
            new: Match("renamed", f"from {old}") for new, old in names.items() if new != old
        }
        self._plain: dict[str, str] = {}
        self._offered: dict[str, Offered] = {}
        self._used: Counter[str] = Counter()
        self._embeddings = {
            pattern: layers for pattern, layers in situation.paired.items() if is_embedding(pattern)
        }
        self._notes: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether the view is any other than b."""
        return bool(self.matches or self._notes)

    def add(self, own: Sampler, target: Target, candidate: Candidate) -> None:
        """Take what was chosen for a module of a, in every layer that it can be read in.

        It was chosen by a few layers: a tensor that lies right as it is stays so.
        """
        for indices, tensors in target.layers.items():
            for kind, spec in tensors.items():
                reading = candidate.read(indices, kind)
                if reading is None or (
                    reading.plain and self._names.get(spec.name) == reading.plain
                ):
                    continue
                if self._lies_right(own, spec, reading):
                    continue
                self._take(spec, reading)
                self._remember(target.pattern, reading)

    def _lies_right(self, own: Sampler, spec: TensorSpec, reading: Reading) -> bool:
        """Whether b's tensor of this name and shape is nearer to a's than the reading is."""
        other = self._situation.b.specs.get(self._names.get(spec.name, ""))
        if other is None or other.shape != spec.shape:
            return False
        as_it_is = Reading(Match("renamed"), self._situation.stored(other))
        near, far = (
            sampled(own.stored(spec, read.matrix.shape[1]), read) for read in (as_it_is, reading)
        )
        return near.telling and near.distance < far.distance

    def _take(self, spec: TensorSpec, reading: Reading) -> None:
        sources = reading.matrix.specs
        for source in sources:
            self._used[source.name] += spec.elements if len(sources) == 1 else source.elements
        self.matches[spec.name] = _with_origin(reading, spec.name)
        if reading.plain is not None:
            self._plain[spec.name] = reading.plain
        else:
            self._offered[spec.name] = Offered(spec.shape, reading)

    def _remember(self, pattern: str, reading: Reading) -> None:
        """An embedding that was found under another name may be a head as well."""
        if is_embedding(pattern) and reading.plain is not None:
            self._embeddings[pattern] = {(): {"weight": reading.matrix.specs[0]}}

    def add_tied(self, a: Checkpoint, target: Target) -> None:
        """Take an embedding of b for a module of a that it fits, beside its own."""
        situation = replace(self._situation, paired=self._embeddings)
        chosen = decide(Sampler(a), target, TIED_HEAD.propose(target, situation)).chosen
        for indices, tensors in target.layers.items() if chosen is not None else ():
            for kind, spec in tensors.items():
                reading = None if chosen is None else chosen.read(indices, kind)
                if reading is not None and reading.plain is not None:
                    self._plain[spec.name] = reading.plain
                    self.matches[spec.name] = Match("renamed", f"tied to {reading.plain}")

    def leave_out_tied(self) -> None:
        """Leave out a matrix of b that stands alone and holds its own embedding's numbers."""
        for pattern, layers in self._situation.open_b.items():
            spec = layers.get((), {}).get("weight")
            if spec is None or len(spec.shape) != 2 or self._used[spec.name]:
                continue
            for embedding in self._embeddings.values():
                if shape_of(embedding) == spec.shape and self._is_copy(spec, embedding):
                    self._used[spec.name] = spec.elements
                    self._notes = (*self._notes, f"{pattern}: a copy of its embedding, left out")

    def _is_copy(self, spec: TensorSpec, embedding: Layers) -> bool:
        other = next(iter(embedding.values()))["weight"]
        if other.name == spec.name:
            return False
        stored = self._situation.stored
        score = sampled(stored(spec), Reading(Match("renamed"), stored(other)))
        return score.telling and score.distance == 0.0

    def view(self) -> ConvertedCheckpoint:
        """The checkpoint b under a's names."""
        plain = dict(self._plain)
        for name, old in self._names.items():
            is_used = 0 < self._used[old] >= self._situation.b.specs[old].elements
            if not is_used:
                taken = name in self._plain or name in self._offered
                plain[f"{name} (of b)" if taken else name] = old
        view = ConvertedCheckpoint(self._situation.b, plain, self._offered)
        view.notes += self._notes
        return view


def _with_origin(reading: Reading, name: str) -> Match:
    """The match, with the name in b where it is another and not told yet."""
    match, specs = reading.match, reading.matrix.specs
    if match.transform is None:
        return replace(match, transform=f"from {specs[0].name}")
    if len(specs) > 1 or specs[0].name in (name, *match.transform.replace(",", "").split()):
        return match
    return replace(match, transform=f"{match.transform}, from {specs[0].name}")
