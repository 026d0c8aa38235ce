"""One network under noise: every draw at every level and scope, run on all inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from netdistance.networks.batch import Batch, in_float64
from netdistance.networks.load import Network, State
from netdistance.probes.deviation import (
    IGNORED,
    Reference,
    fraction,
    hits,
    over_draws,
    require_classes,
    require_repeatable,
    run,
)
from netdistance.probes.noise import (
    Noise,
    moved,
    perturbed_names,
    require_matched,
    unit_noise,
)
from netdistance.probes.output_measures import require_one_label, score_shape
from netdistance.progress import SILENT, Progress
from netdistance.quantities import Quantity, Skipped
from netdistance.report.document import Scope

NO_TARGETS = Skipped("needs --targets")


@dataclass(slots=True)
class Draws:
    """What every draw at one level and scope did: deviations (N,) each, and hits of its labels."""

    deviations: list[Tensor] = field(default_factory=list)
    hits: list[Tensor] = field(default_factory=list)

    @property
    def accuracy(self) -> Quantity:
        """The mean accuracy; its standard error is over draws."""
        return over_draws([hit.double() for hit in self.hits]) if self.hits else NO_TARGETS


@dataclass(frozen=True, slots=True)
class NoiseSweep:
    """One network, its inputs and its unperturbed outputs, to be run under noise."""

    network: Network
    state: State
    inputs: Batch  # (N, ...)
    targets: Tensor | None  # (N,)
    reference: Reference
    batch_size: int
    seed: int
    draws: int
    layers: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        network: Network,
        state: State,
        inputs: Batch,
        targets: Tensor | None,
        *,
        batch_size: int,
        seed: int,
        draws: int,
        layers: tuple[str, ...] = (),
    ) -> NoiseSweep:
        """The sweep, once the unperturbed network has run.

        Raises:
            UsageError: no parameter is matched by `layers`.
        """
        require_matched(network, state, layers)
        outputs = run(network, state, inputs, batch_size=batch_size)
        require_repeatable(network, state, inputs, outputs)
        if targets is not None:
            require_one_label(score_shape(network, state, inputs), targets, network.name)
            require_classes(targets, outputs)
        reference = Reference.of(outputs)
        return cls(network, state, inputs, targets, reference, batch_size, seed, draws, layers)

    @property
    def reference_accuracy(self) -> Quantity:
        """The accuracy without noise."""
        if self.targets is None:
            return NO_TARGETS
        return fraction(_hits(self.reference.outputs, self.targets))

    def names(self, scope: Scope) -> tuple[str, ...]:
        """The parameters that noise of this scope moves."""
        return perturbed_names(self.network, self.state, scope, self.layers)

    def in_float64(self, inputs: int) -> NoiseSweep:
        """The same sweep on the first few inputs, every number in float64."""
        state = {n: v.double() if v.is_floating_point() else v for n, v in self.state.items()}
        few = in_float64(self.inputs[:inputs])
        targets = None if self.targets is None else self.targets[:inputs]
        reference = Reference.of(run(self.network, state, few, batch_size=self.batch_size))
        return replace(self, state=state, inputs=few, targets=targets, reference=reference)

    def measure(
        self, noises: Sequence[Noise], scopes: tuple[Scope, ...], progress: Progress = SILENT
    ) -> dict[tuple[str, Scope], Draws]:
        """What every draw did, by the spelling of the noise.

        A draw is the same unit noise at every level, so that levels compare.
        """
        plan = [
            (draw, scope, unit)
            for draw in range(self.draws)
            for unit in dict.fromkeys(noise.unit for noise in noises)
            for scope in unit.scopes(scopes)
        ]
        runs = [(*place, noise) for place in plan for noise in noises if noise.unit == place[2]]
        result = {(noise.text, scope): Draws() for _, scope, _, noise in runs}
        with progress.task("measuring", len(runs)) as advance:
            for draw, scope, unit in plan:
                change = unit_noise(self.state, self.names(scope), unit, seed=self.seed + draw)
                for noise in (noise for noise in noises if noise.unit == unit):
                    self._measure_one(change, noise.scale, result[noise.text, scope])
                    advance(1)
        return result

    def _measure_one(self, change: Mapping[str, Tensor], scale: float, into: Draws) -> None:
        state = moved(self.network, self.state, change, scale)
        outputs = run(self.network, state, self.inputs, batch_size=self.batch_size)
        into.deviations.append(self.reference.deviation(outputs).cpu())
        if self.targets is not None:
            into.hits.append(_hits(outputs, self.targets))


def _hits(outputs: Tensor, targets: Tensor) -> Tensor:
    """Whether the largest output is at its label, for the inputs whose label counts; bool."""
    return hits(outputs, targets)[targets != IGNORED]
