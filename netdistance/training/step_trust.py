"""Deep relative trust of single steps of an optimiser, measured on a few of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from torch import nn
from torch.optim import Optimizer

from netdistance.bounds.trust import trust_from_log1p_sum
from netdistance.optim import RelativeStepMonitor
from netdistance.quantities import Estimate, Exact, Quantity, Skipped, point

_NOT_FINITE = Skipped("a step was not finite")


@dataclass(slots=True)
class StepTrust:
    """The trust of measured steps since it was last asked for."""

    model: nn.Module
    sums: list[float] = field(default_factory=list)  # of log(1 + r_l), one for each step

    def step(self, optimizers: Sequence[Optimizer]) -> None:
        """Step every optimiser once, and remember how far the weights moved."""
        parts: list[float] = []
        with ExitStack() as stack:
            for optimizer in optimizers:
                stack.enter_context(
                    RelativeStepMonitor(optimizer, self.model, lambda _, total: parts.append(total))
                )
                optimizer.step()
        self.sums.append(math.fsum(parts) if all(map(math.isfinite, parts)) else math.inf)

    def take(self) -> tuple[Quantity, Quantity]:
        """The mean over the measured steps with its standard error, and the largest of them."""
        sums, self.sums = self.sums, []
        if all(parameter.ndim < 2 for parameter in self.model.parameters()):
            none = Skipped("no parameter has two or more axes")
            return none, none
        if not sums:
            none = Skipped("no step was measured")
            return none, none
        trusts = [point(trust_from_log1p_sum(total)) for total in sums if math.isfinite(total)]
        found = [trust for trust in trusts if trust is not None]
        if len(found) < len(sums):
            return _NOT_FINITE, _NOT_FINITE
        if len(found) == 1:
            return Exact(found[0]), Exact(found[0])
        try:
            error = statistics.stdev(found) / math.sqrt(len(found))
            mean = Estimate(statistics.fmean(found), error)
        except OverflowError:
            return Skipped("overflows float64"), Exact(max(found))
        return mean, Exact(max(found))
