"""The radii of one network: every layer alone and all of them together, random and worst found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from netdistance.bounds.gradients import NoGradientError
from netdistance.pairing.layers import layer_of
from netdistance.pairing.match import natural_key
from netdistance.probes.crossing import LEAST
from netdistance.probes.minimum_width import Change, Minimum
from netdistance.probes.noise import unit_noise
from netdistance.probes.over_draws import interval, mean_radius, mean_ratio, spread
from netdistance.probes.worst_direction import Search
from netdistance.progress import SILENT, Progress
from netdistance.quantities import Exact, Quantity, Skipped
from netdistance.report.width_rows import WidthRatio, WidthRow


@dataclass(frozen=True, slots=True)
class Radii:
    """What was found of some tensors: the radius of every draw, and the shortest radius."""

    layer: str | None
    drawn: tuple[float, ...]
    worst: float | Skipped


def measure_width(
    minimum: Minimum,
    names: Sequence[str],
    *,
    draws: int,
    layer_draws: int,
    seed: int,
    progress: Progress = SILENT,
) -> tuple[Radii, ...]:
    """All named tensors together first, then each layer alone, unless `layer_draws` is 0.

    A draw is the same unit noise for every level, layer and criterion. The worst of all layers
    together is no larger than that of a layer alone, since that is such a move too, nor than any
    draw's radius.
    """
    layers: dict[str, tuple[str, ...]] = {}
    for name in sorted(names, key=natural_key) if layer_draws else ():
        layers[layer_of(name)] = (*layers.get(layer_of(name), ()), name)
    groups = dict[str | None, tuple[str, ...]]([*layers.items(), (None, tuple(names))])
    count = {group: layer_draws if group is not None else draws for group in groups}
    drawn: dict[str | None, list[float]] = {group: [] for group in groups}
    searches = {group: Search(minimum, members) for group, members in groups.items()}
    with progress.task("random directions", sum(count.values())) as advance:
        for draw in range(max(count.values())):
            noise = unit_noise(minimum.loss.state, names, seed=seed + draw)
            for group in (group for group in groups if draw < count[group]):
                change = {name: noise[name] for name in groups[group]}
                near = drawn[group][-1] if draw else LEAST
                drawn[group].append(minimum.radius(change, near))
                searches[group].know(change, drawn[group][-1])
                advance(1)
    start = unit_noise(minimum.loss.state, names, seed=seed)
    with progress.task("worst directions", len(groups)) as advance:
        worst: dict[str | None, float | Skipped] = {}
        for group in groups:  # all of them together last: every layer's move is one of theirs
            worst[group] = _worst(searches[group], start)
            searches[None].know(searches[group].change, searches[group].radius)
            advance(1)
    return tuple(Radii(group, tuple(drawn[group]), worst[group]) for group in (None, *layers))


def _worst(search: Search, start: Change) -> float | Skipped:
    try:
        return search.ascend({name: start[name] for name in search.names})
    except NoGradientError as error:
        return Skipped(str(error))


def rows_of(found: Sequence[Radii], minimum: Minimum) -> tuple[WidthRow, ...]:
    """The rows of a report: random, then worst, for each part."""
    tolerance, criterion = minimum.tolerance, minimum.criterion
    rows: list[WidthRow] = []
    for part in found:
        mean = mean_radius(part.drawn)
        of_draws = (spread(part.drawn), interval(mean, len(part.drawn)))
        rows.append(WidthRow("random", part.layer, tolerance, mean, criterion, *of_draws))
        worst = _shortest(part.worst)
        rows.append(WidthRow("worst", part.layer, tolerance, worst, criterion))
    return tuple(rows)


def ratios(a: Sequence[Radii], b: Sequence[Radii]) -> tuple[WidthRatio, ...]:
    """The radius of b over that of a, part by part, for the same draws."""
    rows: list[WidthRatio] = []
    for of_a, of_b in zip(a, b, strict=True):
        ratio = mean_ratio(of_a.drawn, of_b.drawn)
        around = interval(ratio, len(of_a.drawn))
        rows.append(WidthRatio("random", of_a.layer, ratio, around))
        rows.append(WidthRatio("worst", of_a.layer, _worst_ratio(of_a.worst, of_b.worst)))
    return tuple(rows)


def _shortest(worst: float | Skipped) -> Quantity:
    if isinstance(worst, Skipped):
        return worst
    return Exact(worst) if 0.0 < worst < math.inf else mean_radius([worst])


def _worst_ratio(a: float | Skipped, b: float | Skipped) -> Quantity:
    for side, worst in (("a", a), ("b", b)):
        if isinstance(found := _shortest(worst), Skipped):
            return Skipped(f"the radius of {side}: {found.reason}")
    assert isinstance(a, float) and isinstance(b, float)
    return Exact(b / a)
