"""The first crossing of known functions: where it is, and how few levels are tried."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from netdistance.probes.crossing import LEAST, RESOLUTION, Tried, crossing, first_crossing

SHAPES: dict[str, tuple[Callable[[float], float], int]] = {
    # with the most levels that closing in may take; bisection takes 13
    "power": (lambda ratio: 2.0 * math.log(ratio), 4),
    "line": (lambda ratio: ratio - 1.0, 6),
    "wall": (lambda ratio: ratio**40 - 1.0, 12),
    "flat": (lambda ratio: (ratio - 1.0) ** 3, 28),
    "step": (lambda ratio: math.inf if ratio > 1.0 else -math.inf, 14),
    "NaN beyond": (lambda ratio: math.inf if ratio > 1.0 else math.log(ratio), 14),
}


class Counted:
    """A function of a level, and the levels that were asked."""

    def __init__(self, function: Callable[[float], float]) -> None:
        self.function = function
        self.levels: list[float] = []

    def __call__(self, level: float) -> float:
        self.levels.append(level)
        return self.function(level)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("root", [0.00013, 0.0173, 0.2, 0.999, 7.0])
def test_the_crossing_is_within_the_resolution(shape: str, root: float) -> None:
    function, most = SHAPES[shape]
    counted = Counted(lambda level: function(level / root))
    found = first_crossing(counted)
    assert root <= found * (1.0 + 1e-12) and found <= root * (1.0 + RESOLUTION) * (1.0 + 1e-12)
    assert found in counted.levels  # a level that was seen to fail, not one between
    closing = len(counted.levels) - next(i for i, t in enumerate(counted.levels) if t > root) - 1
    assert closing <= most


def test_the_first_of_several_crossings_counts() -> None:
    def twice(level: float) -> float:
        return 1.0 if 0.01 < level < 0.1 or level > 1.0 else -1.0

    assert first_crossing(twice) == pytest.approx(0.01, rel=1e-3)
    # a decade below the guess is all that is looked at where that holds
    assert first_crossing(twice, near=5.0) == pytest.approx(1.0, rel=1e-3)
    # and everything where it fails
    assert first_crossing(twice, near=0.5) == pytest.approx(0.01, rel=1e-3)


def test_the_ends() -> None:
    assert first_crossing(lambda t: 1.0 if t >= LEAST else -1.0) == 0.0
    assert first_crossing(lambda t: 1.0 if t > 10.0 else -1.0) == math.inf
    at_the_top = first_crossing(lambda t: 1.0 if t >= 10.0 else -1.0)
    assert at_the_top == pytest.approx(10.0, rel=RESOLUTION)


@pytest.mark.parametrize("near", [0.0, LEAST, 0.3, 10.0, math.inf])
def test_a_guess_changes_nothing_of_one_crossing(near: float) -> None:
    alone = first_crossing(lambda level: level - 0.2)
    assert first_crossing(lambda level: level - 0.2, near) == pytest.approx(alone, rel=RESOLUTION)


def test_a_guess_spares_the_levels_far_below() -> None:
    blind, guided = Counted(lambda level: level - 0.2), Counted(lambda level: level - 0.2)
    first_crossing(blind)
    first_crossing(guided, near=0.21)
    assert min(guided.levels) > 0.01
    assert len(guided.levels) <= len(blind.levels) - 8


def test_a_coarser_resolution_takes_fewer_levels() -> None:
    counts = []
    for resolution in (1e-2, 1e-4):
        counted = Counted(lambda level: math.inf if level > 0.2 else -math.inf)
        holds, fails = Tried(0.1, -math.inf), Tried(0.4, math.inf)
        found = crossing(counted, holds, fails, resolution)
        assert 0.2 <= found <= 0.2 * (1.0 + resolution)
        counts.append(len(counted.levels))
    assert counts[0] < counts[1]
