"""Every bound beside the measurement, for one network at one noise level."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from netdistance.bounds.attack import worst_found
from netdistance.bounds.certificates import Certifier
from netdistance.bounds.estimates import FirstOrder, at_level, first_order
from netdistance.bounds.gradients import NoGradientError
from netdistance.bounds.trust import MODEL, trust_of_sum
from netdistance.probes.deviation import largest, over_draws, quantiles
from netdistance.probes.noise_sweep import Draws, NoiseSweep
from netdistance.progress import Progress
from netdistance.quantities import Exact, Quantity, Skipped
from netdistance.report.document import BoundRow, SampleDeviation, Scope, SweepPoint
from netdistance.report.wording import count

# the estimate needs gradients, so it covers fewer inputs than the measurement
ESTIMATE_INPUTS = 256
# below it float32 cannot hold the noise, whose elements it rounds to 6e-8 of the weights'
FLOAT32_RESOLUTION = 1e-5


@dataclass(frozen=True, slots=True)
class Ladder:
    """The bounds of one scope of noise; what does not depend on the level is computed once."""

    sweep: NoiseSweep
    scope: Scope
    certifier: Certifier
    unit_estimate: Quantity

    @classmethod
    def of(
        cls, sweep: NoiseSweep, scope: Scope, certifier: Certifier, effect: FirstOrder
    ) -> Ladder:
        """The ladder of a scope; `effect` is of every tensor that any scope moves."""
        return cls(sweep, scope, certifier, effect.rms(sweep.names(scope)))

    def at(self, text: str, level: float, draws: Draws) -> SweepPoint:
        """The row of one level.

        Raises:
            BoundViolationError: the certificate lies below a measurement.
        """
        every = torch.stack(draws.deviations)
        attack, attacked = _attack(self.sweep, self.scope, level, len(self.certifier.inputs))
        return SweepPoint(
            noise=text,
            scope=self.scope,
            deviation=SampleDeviation(
                over_draws(draws.deviations),
                over_draws(draws.deviations, power=2),
                quantiles(every),
            ),
            accuracy=draws.accuracy,
            attack=attack,
            bounds=(
                *self._certificates(level, every, attacked),
                self._estimate(level, draws),
                self._trust(level, every, attacked),
            ),
        )

    def _certificates(self, level: float, every: Tensor, attacked: Tensor) -> tuple[BoundRow, ...]:
        covered = len(self.certifier.inputs)
        certified = self.certifier.ball(level, self.sweep.names(self.scope))
        measured = largest(torch.cat([every[:, :covered].flatten(), attacked]))
        said = f"each tensor moves by at most {level:g} of its Frobenius norm ({self.scope})"
        return certified.rows(covered, measured, lambda: self._in_float64(level, covered), [said])

    def _in_float64(self, level: float, covered: int) -> Exact | Skipped:
        """The largest deviation on the certified inputs, draws and attack run again in float64."""
        again = self.sweep.in_float64(covered)
        draws = again.measure({"": level}, (self.scope,))["", self.scope]
        _, attacked = _attack(again, self.scope, level, covered)
        return largest(torch.cat([*draws.deviations, attacked]))

    def _estimate(self, level: float, draws: Draws) -> BoundRow:
        covered = min(ESTIMATE_INPUTS, len(self.sweep.inputs))
        return BoundRow(
            name="first_order_rms",
            standing="estimated",
            over="draws",
            inputs=covered,
            value=at_level(self.unit_estimate, level),
            measured=over_draws([d[:covered] for d in draws.deviations], power=2),
            assumptions=(
                "first order in the noise: the linearised network",
                "value and measurement are root mean squares over inputs and draws, not the worst",
            ),
        )

    def _trust(self, level: float, every: Tensor, attacked: Tensor) -> BoundRow:
        weights = self.sweep.names("weights")
        assumptions = [MODEL, f"product over {count(len(weights), 'weight')}"]
        if len(self.sweep.names(self.scope)) > len(weights):
            assumptions.append("biases and gains move too, and are not in the product")
        row = trust_of_sum(len(weights) * math.log1p(level), assumptions, over="ball")
        worst = largest(torch.cat([every.flatten(), attacked]))
        return replace(row, inputs=len(self.sweep.inputs), measured=worst)


def _attack(
    sweep: NoiseSweep, scope: Scope, level: float, inputs: int
) -> tuple[Exact | Skipped, Tensor]:
    """The worst found, and what was found for each input: for none where there is no gradient."""
    try:
        found = worst_found(
            sweep.network,
            sweep.state,
            sweep.reference.first(inputs),
            sweep.inputs[:inputs],
            sweep.names(scope),
            level,
            seed=sweep.seed,
        )
    except NoGradientError as error:
        return Skipped(str(error)), torch.zeros(0, dtype=torch.float64)
    return largest(found), found


def sweep_points(
    sweep: NoiseSweep,
    levels: Mapping[str, float],
    scopes: tuple[Scope, ...],
    *,
    certify: int,
    progress: Progress,
) -> tuple[SweepPoint, ...]:
    """The row of every scope and level: what was measured, and every bound beside it.

    Levels that float32 cannot hold are measured and attacked in float64.

    Raises:
        BoundViolationError: a certificate lies below a measurement.
    """
    certifier = Certifier.of(sweep.network, sweep.state, sweep.inputs[:certify])
    fine = {text: level for text, level in levels.items() if level < FLOAT32_RESOLUTION}
    coarse = {text: level for text, level in levels.items() if text not in fine}
    points = _points(sweep, coarse, scopes, certifier, progress) if coarse else {}
    if fine:
        exact = sweep.in_float64(len(sweep.inputs))
        points |= _points(exact, fine, scopes, certifier, progress)
    return tuple(points[text, scope] for scope in scopes for text in levels)


def _points(
    sweep: NoiseSweep,
    levels: Mapping[str, float],
    scopes: tuple[Scope, ...],
    certifier: Certifier,
    progress: Progress,
) -> dict[tuple[str, Scope], SweepPoint]:
    measured = sweep.measure(levels, scopes, progress)
    effect = first_order(
        sweep.network,
        sweep.state,
        sweep.inputs[:ESTIMATE_INPUTS],
        sweep.names("all" if "all" in scopes else "weights"),
        batch_size=sweep.batch_size,
        seed=sweep.seed,
    )
    points: dict[tuple[str, Scope], SweepPoint] = {}
    with progress.task("attacking and certifying", len(measured)) as advance:
        for scope in scopes:
            ladder = Ladder.of(sweep, scope, certifier, effect)
            for text, level in levels.items():
                points[text, scope] = ladder.at(text, level, measured[text, scope])
                advance(1)
    return points
