"""How a level of noise is called and where it stands beside others, from its row in a report."""

from __future__ import annotations

from collections.abc import Sequence

from netdistance.quantities import point
from netdistance.report.document import SweepPoint
from netdistance.report.wording import percent


def is_named(place: SweepPoint) -> bool:
    """Whether the level is a format's, by its name, and not a relative one, by its number."""
    try:
        float(place.noise)
    except ValueError:
        return True
    return False


def label_of(place: SweepPoint) -> str:
    """The relative level as a percentage, or the name of the format."""
    return place.noise if is_named(place) else percent(float(place.noise))


def size_of(place: SweepPoint) -> float:
    """The largest relative Frobenius change that the level allows a tensor; 0 where unknown."""
    if not is_named(place):
        return float(place.noise)
    size = None if place.relative_frobenius is None else point(place.relative_frobenius)
    return size or 0.0


def box_legend(places: Sequence[SweepPoint]) -> str:
    """What a name among the levels means, with its size; empty where there is none."""
    sizes = {place.noise: size_of(place) for place in places if is_named(place)}
    if not sizes:
        return ""
    names = ", ".join(f"{name} at most {percent(size)}" for name, size in sizes.items())
    return f"by name: uniform within half a step of each weight, of a tensor's norm {names}."
