"""The frontier against every assignment there is, and the search along it."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from netdistance.compression.frontier import AS_IT_IS, Choice, Frontier, lower_hull
from netdistance.compression.search import cheapest_within


def some_choices(seed: int) -> dict[str, list[Choice]]:
    """Four layers of odd sizes, each with four ways to store it."""
    draw = random.Random(seed)
    return {
        f"layer {i}": [
            Choice(AS_IT_IS, 32 * elements, 0.0),
            *(
                Choice(f"{width} bits", width * elements, draw.random() * 4.0**-width)
                for width in (8, 6, 4)
            ),
        ]
        for i, elements in enumerate((10, 300, 17, 120))
    }


def cheapest_at_a_price(choices: dict[str, list[Choice]], price: float) -> float:
    """The least of bits + price * energy over every assignment, one after another."""
    return min(
        sum(c.bits for c in chosen) + price * math.fsum(c.energy for c in chosen)
        for chosen in itertools.product(*choices.values())
    )


@pytest.mark.parametrize("seed", range(5))
def test_at_every_price_the_best_assignment_is_on_it(seed: int) -> None:
    choices = some_choices(seed)
    elements = 447
    frontier = Frontier.of(choices, elements)
    for price in (10.0**exponent for exponent in range(-2, 12)):
        ours = min(
            frontier.bits_per_weight(a) * elements + price * frontier.predicted(a) ** 2
            for a in frontier.assignments
        )
        assert ours == pytest.approx(cheapest_at_a_price(choices, price), rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_sizes_fall_and_deviations_rise_along_it(seed: int) -> None:
    frontier = Frontier.of(some_choices(seed), 447)
    sizes = [frontier.bits_per_weight(a) for a in frontier.assignments]
    moves = [frontier.predicted(a) for a in frontier.assignments]
    assert (
        sizes[0] == 32.0 and moves[0] == 0.0 and set(frontier.assignments[0].values()) == {AS_IT_IS}
    )
    assert sizes == sorted(sizes, reverse=True) and moves == sorted(moves)


def test_the_hull() -> None:
    a, b, c = Choice("a", 32, 0.0), Choice("b", 8, 1.0), Choice("c", 4, 9.0)
    above, larger = Choice("above", 6, 6.0), Choice("larger", 10, 1.0)
    assert lower_hull([above, a, larger, c, b]) == [a, b, c]
    lossless = Choice("lossless", 16, 0.0)
    assert lower_hull([a, lossless]) == [lossless]


def test_spaced_places_hold_both_ends() -> None:
    frontier = Frontier.of(some_choices(0), 447)
    places = frontier.spaced(4)
    assert places[0] == 0 and places[-1] == len(frontier.assignments) - 1 and len(places) <= 4
    assert frontier.uniform("8 bits") == dict.fromkeys(frontier.choices, "8 bits")
    assert set(frontier.uniform("7 bits").values()) == {AS_IT_IS}


@pytest.mark.parametrize("seed", range(5))
def test_what_is_left_is_used_and_not_exceeded(seed: int) -> None:
    frontier = Frontier.of(some_choices(seed), 447)
    for assignment in frontier.assignments[:-1]:
        for limit in (1e-4, 1e-3, 1e-2):
            smaller = frontier.smaller(assignment, limit)
            if smaller is None:
                continue
            assert frontier.predicted(smaller) <= limit
            assert frontier.bits_per_weight(smaller) < frontier.bits_per_weight(assignment)
    assert frontier.smaller(frontier.assignments[0], 1e9) == frontier.assignments[-1]
    assert frontier.smaller(frontier.assignments[0], 0.0) is None


@pytest.mark.parametrize("count", [1, 2, 9, 100])
def test_the_search_finds_the_last_that_meets(count: int) -> None:
    for last in range(count):
        asked: list[int] = []

        def measure(place: int, last: int = last, asked: list[int] = asked) -> bool:
            asked.append(place)
            return place <= last

        assert cheapest_within({0: True}, count, measure) == last
        assert len(asked) <= math.ceil(math.log2(count)) + 1 and len(set(asked)) == len(asked)
