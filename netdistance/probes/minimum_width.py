"""How far the weights may move in a direction before the loss has risen by a tolerance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from netdistance.probes.crossing import LEAST, Tried, first_crossing
from netdistance.probes.mean_loss import Fit, MeanLoss
from netdistance.report.width_rows import Criterion

Change = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Minimum:
    """A network at its weights, and what makes a move of them too far."""

    loss: MeanLoss
    before: Fit
    criterion: Criterion
    tolerance: float

    @classmethod
    def of(cls, loss: MeanLoss, criterion: Criterion, tolerance: float) -> Minimum:
        """The minimum, once its fit is known."""
        return cls(loss, loss.at({}, 0.0), criterion, tolerance)

    def tried(self, change: Change, level: float) -> Tried:
        """The fit where `level` times the change is added to the weights, judged.

        The excess is log(rise / tolerance), which is linear in the logarithm of the level where the
        rise is a power of it; of the accuracy, a step function, only the sign is given.
        """
        now = self.loss.at(change, level)
        if self.criterion == "accuracy":
            lost = (self.before.hits - now.hits) / self.loss.counted
            # 10 of 1,000 is no more than 0.01
            return Tried(level, math.copysign(math.inf, lost - self.tolerance - 1e-12))
        rise = now.loss - self.before.loss
        if math.isnan(rise):  # is too far
            return Tried(level, math.inf)
        return Tried(level, math.log(rise / self.tolerance) if rise > 0.0 else -math.inf)

    def radius(self, change: Change, near: float = LEAST) -> float:
        """The first level, going up along a ray, at which the criterion fails.

        The loss along a ray need not be monotone: levels are tried a factor of 1.78 apart, and the
        first that fails is closed in on, to 0.01%. They begin at 0.0001, or a decade below `near`,
        the radius of another ray, unless it fails there already. A shorter excursion between two
        levels, or below the first, is not seen. 0 where 0.0001 fails already, infinite where none
        does up to 10.
        """
        return first_crossing(lambda level: self.tried(change, level).excess, near)
