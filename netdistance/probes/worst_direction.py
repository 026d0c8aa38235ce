"""The direction found in which the weights may move least before a criterion fails."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from netdistance.probes.crossing import LEAST, RESOLUTION, Tried, crossing
from netdistance.probes.minimum_width import Change, Minimum
from netdistance.probes.noise import RELATIVE_GAUSSIAN

# levels at which a random point starts an ascent of its own, beside the weights as they are
START_LEVELS = (0.01, 0.1, 1.0)
MOST_STEPS = 24
# steps in a row that find nothing shorter end the search
PATIENCE = 4
# a step that shortens the radius by less than this finds nothing
_PROGRESS = 1e-3
_COARSE = 1e-2


@dataclass(slots=True)
class Search:
    """The shortest move found so far of some tensors, each by one relative level, and no other.

    The radius is an upper end: another direction may be shorter. Every tensor of a change has the
    norm of its weight, so that levels are those of `relative_gaussian`.
    """

    minimum: Minimum
    names: tuple[str, ...]
    radius: float = math.inf
    change: Change = field(default_factory=dict)
    extents: Mapping[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        """How far each tensor goes at level 1."""
        state = self.minimum.loss.state
        self.extents = {name: RELATIVE_GAUSSIAN.extent(state[name]) for name in self.names}

    def know(self, change: Change, radius: float) -> None:
        """Take a change whose radius was measured."""
        if radius < self.radius:
            self.radius, self.change = radius, change

    def ascend(self, start: Change) -> float:
        """The shortest radius, after conditional gradient steps from everything known.

        A step goes to the point of the ball where the loss rises most to first order,
        D_l <- r |W_l|_F g_l / |g_l|, g the gradient of the mean loss at the last point (Frank and
        Wolfe 1956, with full steps). A ray that is shorter than the ball of the day gives the next
        ball. The first steps start at the weights and at `start`, a random change, at three levels.

        Raises:
            NoGradientError: the network cannot be differentiated.
        """
        for level in (0.0, *START_LEVELS):
            self._offer(self._uphill(start, level))
        if self.radius == math.inf or self.radius == 0.0:
            return self.radius
        point, stale = self.change, 0
        for _ in range(MOST_STEPS):
            point = self._uphill(point, self.radius)
            stale = 0 if self._offer(point) else stale + 1
            if stale == PATIENCE or self.radius == 0.0:
                break
        self._refine()
        return self.radius

    def _uphill(self, change: Change, level: float) -> Change:
        """The steepest change of every tensor at a point; where there is none, as it was."""
        slopes = self.minimum.loss.slope(change, level, self.names)
        uphill: dict[str, Tensor] = {}
        for name, slope in slopes.items():
            found = RELATIVE_GAUSSIAN.ascend(self.extents[name], slope)
            kept = change[name] if name in change else slope.new_zeros(slope.shape)
            uphill[name] = kept if found is None else found
        return uphill

    def _offer(self, change: Change) -> bool:
        """Take the change if its radius is shorter, known to 1% for now; whether it was."""
        if self.radius == math.inf:
            self.know(change, self.minimum.radius(change))
            return self.radius < math.inf
        high = self.minimum.tried(change, self.radius * (1.0 - _PROGRESS))
        if not high.fails:
            return False
        while (low := self.minimum.tried(change, _below(high))).fails:
            if low.level == LEAST:
                self.know(change, 0.0)
                return True
            high = low
        self.know(change, self._closed_in(change, low, high, _COARSE))
        return True

    def _refine(self) -> None:
        """The radius along the best direction, to the resolution of the random ones."""
        if not 0.0 < self.radius < math.inf:
            return
        high = self.minimum.tried(self.change, self.radius)
        low = self.minimum.tried(self.change, self.radius / (1.0 + 2.0 * _COARSE))
        if high.fails and not low.fails:
            self.radius = self._closed_in(self.change, low, high, RESOLUTION)

    def _closed_in(self, change: Change, low: Tried, high: Tried, resolution: float) -> float:
        return crossing(
            lambda level: self.minimum.tried(change, level).excess, low, high, resolution
        )


def _below(high: Tried) -> float:
    """Where the loss has risen less than the tolerance if it is convex; half the level at least."""
    return max(LEAST, high.level * max(0.5, (1.0 - _PROGRESS) * math.exp(-high.excess)))
