"""Which layer to store how: the assignments along the lower convex hull of size and deviation.

With independent errors squared deviations add, so that for every price of a squared deviation the
cheapest assignment takes each layer for itself: they are the steps down each layer's own lower
convex hull, the least deviation for each bit saved first. Source: Everett 1963, generalized
Lagrange multipliers; Shoham and Gersho 1988, for the allocation of bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

# the name of what is not compressed
AS_IT_IS = "as it is"


@dataclass(frozen=True, slots=True)
class Choice:
    """A way to store one layer: how many bits, and the deviation squared that it causes alone."""

    scheme: str
    bits: int
    energy: float


Assignment = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Frontier:
    """The layers with what they can be, and the assignments from the largest to the smallest."""

    choices: Mapping[str, tuple[Choice, ...]]
    elements: int
    assignments: tuple[Assignment, ...]

    @classmethod
    def of(cls, choices: Mapping[str, Sequence[Choice]], elements: int) -> Frontier:
        """The frontier over every layer's choices, of which one is `AS_IT_IS`."""
        kept = {name: tuple(own) for name, own in choices.items()}
        steps = []
        now: dict[str, str] = {}
        for name, own in kept.items():
            hull = lower_hull(own)
            now[name] = hull[0].scheme
            for more, less in pairwise(hull):
                price = (less.energy - more.energy) / (more.bits - less.bits)
                steps.append((price, name, less.scheme))
        assignments: list[Assignment] = [dict(now)]
        # along one hull prices ascend, so that a stable sort keeps the order of each layer's steps
        for _, name, scheme in sorted(steps, key=lambda step: step[0]):
            now[name] = scheme
            assignments.append(dict(now))
        return cls(kept, elements, tuple(assignments))

    def bits_per_weight(self, assignment: Assignment) -> float:
        """The mean over all weights of all layers."""
        return sum(choice.bits for choice in self._chosen(assignment)) / self.elements

    def predicted(self, assignment: Assignment) -> float:
        """The deviation with independent errors: squares add."""
        return math.sqrt(math.fsum(choice.energy for choice in self._chosen(assignment)))

    def _chosen(self, assignment: Assignment) -> list[Choice]:
        return [
            next(choice for choice in self.choices[name] if choice.scheme == scheme)
            for name, scheme in assignment.items()
        ]

    def uniform(self, scheme: str) -> Assignment:
        """Every layer under one scheme; a layer that cannot be stored so, as it is."""
        return {
            name: scheme if any(choice.scheme == scheme for choice in own) else AS_IT_IS
            for name, own in self.choices.items()
        }

    def smaller(self, assignment: Assignment, limit: float) -> Assignment | None:
        """The assignment with single layers made smaller, the least deviation for a bit first.

        The predicted deviation stays within `limit`; None where no layer fits.
        """
        chosen = dict(zip(assignment, self._chosen(assignment), strict=True))
        energy = math.fsum(choice.energy for choice in chosen.values())
        steps: list[tuple[float, str, Choice, Choice]] = []
        for name, own in chosen.items():
            below = lower_hull([other for other in self.choices[name] if other.bits < own.bits])
            for more, less in pairwise([own, *below]):
                price = (less.energy - more.energy) / (more.bits - less.bits)
                steps.append((price, name, more, less))
        for _, name, more, less in sorted(steps, key=lambda step: step[0]):
            after = energy + less.energy - more.energy
            # a step is taken where the one before it was
            if chosen[name] is more and after <= limit**2:
                chosen[name], energy = less, after
        found = {name: choice.scheme for name, choice in chosen.items()}
        return found if found != assignment else None

    def spaced(self, number: int) -> list[int]:
        """Numbers of so many assignments, both ends among them, evenly in size."""
        sizes = [self.bits_per_weight(assignment) for assignment in self.assignments]
        wanted = [
            sizes[0] + (sizes[-1] - sizes[0]) * place / max(1, number - 1)
            for place in range(number)
        ]
        return sorted({min(range(len(sizes)), key=lambda i: abs(sizes[i] - w)) for w in wanted})


def lower_hull(choices: Sequence[Choice]) -> list[Choice]:
    """The choices on the lower convex hull, from the one of least energy down in size.

    What is larger than another of no more energy is never chosen.
    """
    hull: list[Choice] = []
    least = math.inf
    # the smallest first: each that follows has to buy less energy with its bits
    for choice in sorted(choices, key=lambda choice: (choice.bits, choice.energy)):
        if choice.energy >= least:
            continue
        least = choice.energy
        while len(hull) > 1 and _above(hull[-2], hull[-1], choice):
            hull.pop()
        hull.append(choice)
    return hull[::-1]


def _above(small: Choice, middle: Choice, large: Choice) -> bool:
    """Whether the middle is on or above the line from one to the other."""
    across = (small.energy - middle.energy) * (large.bits - small.bits)
    return across <= (small.energy - large.energy) * (middle.bits - small.bits)
