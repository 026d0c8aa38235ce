"""Every bound beside the measurement, for one network at one noise level."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from netdistance.bounds.attack import worst_found
from netdistance.bounds.certificates import Certifier
from netdistance.bounds.estimates import FirstOrder, at_level, first_order
from netdistance.bounds.gradients import NoGradientError
from netdistance.bounds.linear_worst import linear_worst
from netdistance.bounds.region_trust import NOT_FINITE, RegionTrust
from netdistance.probes.deviation import largest, over_draws, quantiles
from netdistance.probes.noise import Noise, UnitNoise
from netdistance.probes.noise_sweep import Draws, NoiseSweep
from netdistance.progress import Progress
from netdistance.quantities import Exact, Skipped
from netdistance.report.document import BoundRow, SampleDeviation, Scope, SweepPoint

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
    trust: RegionTrust
    effect: FirstOrder  # of every tensor that any scope moves
    worst: Exact | Skipped  # to first order, at level 1

    def at(self, noise: Noise, draws: Draws) -> SweepPoint:
        """The row of one level.

        Raises:
            BoundViolationError: the certificate lies below a measurement.
        """
        every = torch.stack(draws.deviations)
        covered = len(self.certifier.inputs)
        attack, attacked = _attack(self.sweep, self.scope, noise, covered)
        seen = largest(torch.cat([every[:, :covered].flatten(), attacked]))
        worst = largest(torch.cat([every.flatten(), attacked]))
        sizes = noise.sizes(self.sweep.state, self.sweep.names(self.scope))
        modelled = self.trust.rows(noise, sizes)
        return SweepPoint(
            noise=noise.text,
            scope=self.scope,
            deviation=SampleDeviation(
                over_draws(draws.deviations),
                over_draws(draws.deviations, power=2),
                quantiles(every),
            ),
            accuracy=draws.accuracy,
            attack=attack,
            bounds=(
                *self._certificates(noise, seen),
                self._estimate(noise, draws),
                self._linear_worst(noise, seen),
                *(replace(row, inputs=len(every[0]), measured=worst) for row in modelled),
            ),
            relative_frobenius=_largest_size(sizes),
        )

    def _certificates(self, noise: Noise, seen: Exact | Skipped) -> tuple[BoundRow, ...]:
        covered, names = len(self.certifier.inputs), self.sweep.names(self.scope)
        change = noise.change(self.certifier.norms, names, self.certifier.ties)
        said = noise.unit.describe(noise.scale, self.scope)
        certified = self.certifier.certify(change)
        return certified.rows(covered, seen, lambda: self._in_float64(noise, covered), [said])

    def _in_float64(self, noise: Noise, covered: int) -> Exact | Skipped:
        """The largest deviation on the certified inputs, draws and attack run again in float64."""
        again = self.sweep.in_float64(covered)
        draws = again.measure((noise,), (self.scope,))[noise.text, self.scope]
        _, attacked = _attack(again, self.scope, noise, covered)
        return largest(torch.cat([*draws.deviations, attacked]))

    def _estimate(self, noise: Noise, draws: Draws) -> BoundRow:
        covered = min(ESTIMATE_INPUTS, len(self.sweep.inputs))
        unit = self.effect.rms(self.sweep.names(self.scope), noise.unit)
        return BoundRow(
            name="first_order_rms",
            standing="estimated",
            over="draws",
            inputs=covered,
            value=at_level(unit, noise.scale),
            measured=over_draws([d[:covered] for d in draws.deviations], power=2),
            assumptions=(
                "first order in the noise: the linearised network",
                "value and measurement are root mean squares over inputs and draws, not the worst",
            ),
        )

    def _linear_worst(self, noise: Noise, seen: Exact | Skipped) -> BoundRow:
        return BoundRow(
            name="first_order_worst",
            standing="estimated",
            over="ball",
            inputs=len(self.certifier.inputs),
            value=at_level(self.worst, noise.scale),
            measured=seen,
            assumptions=(
                "first order in the noise: the linearised network",
                "found by ascent: a lower end of the linearised network's worst",
                noise.unit.describe(noise.scale, self.scope),
            ),
        )


def _largest_size(sizes: Mapping[str, float]) -> Exact | Skipped:
    finite = all(map(math.isfinite, sizes.values()))
    return Exact(max(sizes.values(), default=0.0)) if finite else Skipped(NOT_FINITE)


def _attack(
    sweep: NoiseSweep, scope: Scope, noise: Noise, inputs: int
) -> tuple[Exact | Skipped, Tensor]:
    """The worst found, and what was found for each input: for none where there is no gradient."""
    if inputs == 0:
        none = "no inputs to attack; give --certify 1 or more"
        return Skipped(none), torch.zeros(0, dtype=torch.float64)
    try:
        found = worst_found(
            sweep.network,
            sweep.state,
            sweep.reference.first(inputs),
            sweep.inputs[:inputs],
            sweep.names(scope),
            noise,
            seed=sweep.seed,
        )
    except NoGradientError as error:
        return Skipped(str(error)), torch.zeros(0, dtype=torch.float64)
    return largest(found), found


def _linear_worst(sweep: NoiseSweep, unit: UnitNoise, scope: Scope, inputs: int) -> Exact | Skipped:
    return linear_worst(
        sweep.network,
        sweep.state,
        sweep.reference.first(inputs),
        sweep.inputs[:inputs],
        sweep.names(scope),
        unit,
        seed=sweep.seed,
    )


def sweep_points(
    sweep: NoiseSweep,
    noises: Sequence[Noise],
    scopes: tuple[Scope, ...],
    *,
    certify: int,
    spectral: bool,
    progress: Progress,
) -> tuple[SweepPoint, ...]:
    """The row of every scope and level: what was measured, and every bound beside it.

    `spectral` adds spectral trust, whose norms are proved once. Levels that float32 cannot hold
    are measured and attacked in float64.

    Raises:
        BoundViolationError: a certificate lies below a measurement.
    """
    certifier = Certifier.of(sweep.network, sweep.state, sweep.inputs[:certify])
    units = tuple(dict.fromkeys(noise.unit for noise in noises))
    trust = RegionTrust.of(
        certifier.norms.state, sweep.names("weights"), units, spectral=spectral, progress=progress
    )
    fine = [noise for noise in noises if _is_fine(noise, sweep)]
    coarse = [noise for noise in noises if noise not in fine]
    points = _points(sweep, coarse, scopes, certifier, trust, progress) if coarse else {}
    if fine:
        exact = sweep.in_float64(len(sweep.inputs))
        points |= _points(exact, fine, scopes, certifier, trust, progress)
    order = {noise.text: place for place, noise in enumerate(noises)}
    rank = {"weights": 0, "all": 1}
    return tuple(points[at] for at in sorted(points, key=lambda at: (rank[at[1]], order[at[0]])))


def _is_fine(noise: Noise, sweep: NoiseSweep) -> bool:
    """Whether some tensor moves by less than float32 can hold."""
    sizes = noise.sizes(sweep.state, sweep.names("all")).values()
    return any(0.0 < size < FLOAT32_RESOLUTION for size in sizes)


def _points(
    sweep: NoiseSweep,
    noises: Sequence[Noise],
    scopes: tuple[Scope, ...],
    certifier: Certifier,
    trust: RegionTrust,
    progress: Progress,
) -> dict[tuple[str, Scope], SweepPoint]:
    measured = sweep.measure(noises, scopes, progress)
    effect = first_order(
        sweep.network,
        sweep.state,
        sweep.inputs[:ESTIMATE_INPUTS],
        sweep.names("all" if "all" in scopes else "weights"),
        tuple(dict.fromkeys(noise.unit for noise in noises)),
        batch_size=sweep.batch_size,
        seed=sweep.seed,
    )
    named = {noise.text: noise for noise in noises}
    points: dict[tuple[str, Scope], SweepPoint] = {}
    worst: dict[tuple[UnitNoise, Scope], Exact | Skipped] = {}
    with progress.task("attacking and certifying", len(measured)) as advance:
        for (text, scope), draws in measured.items():
            at = named[text].unit, scope
            if at not in worst:
                worst[at] = _linear_worst(sweep, *at, len(certifier.inputs))
            ladder = Ladder(sweep, scope, certifier, trust, effect, worst[at])
            points[text, scope] = ladder.at(named[text], draws)
            advance(1)
    return points
