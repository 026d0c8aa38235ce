"""perturb: how far do the outputs of one network move under layerwise relative noise?"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from netdistance.bounds.attack import worst_found
from netdistance.bounds.certificates import Certifier, certificate_row, require_above
from netdistance.bounds.estimates import at_level, first_order_rms
from netdistance.bounds.trust import MODEL, trust_of_sum
from netdistance.checkpoints import Checkpoint, open_checkpoint
from netdistance.errors import UsageError
from netdistance.networks.inputs import load_inputs, load_targets
from netdistance.networks.load import Network, State, load_network
from netdistance.pairing.layers import layer_of
from netdistance.pairing.match import natural_key
from netdistance.probes.deviation import (
    Reference,
    fraction,
    hits,
    largest,
    over_draws,
    quantiles,
    run,
)
from netdistance.probes.noise import moved, perturbed_names, unit_noise
from netdistance.progress import SILENT, Progress
from netdistance.quantities import Exact, Quantity, Skipped
from netdistance.report.document import (
    BoundRow,
    Report,
    SampleDeviation,
    Scope,
    SweepPoint,
    TensorRow,
    Verdict,
)
from netdistance.report.provenance import provenance
from netdistance.report.verdicts import perturb_verdict

PathLike = str | os.PathLike[str]
SCOPES: tuple[Scope, ...] = ("weights", "all")
# the first-order estimate needs gradients, so it covers fewer inputs than the measurement
ESTIMATE_INPUTS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class PerturbOptions:
    """What perturb is asked. `model` names code that is run; `noise` keeps the user's spelling."""

    model: str
    inputs: PathLike
    targets: PathLike | None = None
    noise: tuple[str, ...] = ("0.01", "0.05", "0.2")
    draws: int = 16
    scope: Literal["weights", "all", "both"] = "both"
    certify: int = 16
    batch_size: int = 1024
    device: str = "auto"
    seed: int = 0


def perturb(path: PathLike, options: PerturbOptions, *, progress: Progress = SILENT) -> Report:
    """The report of measured, attacked, estimated, certified and modelled deviation per level.

    Raises:
        CheckpointError: the file is unreadable, invalid, or does not fit the model.
        InputError: the model or its inputs cannot be used.
        UsageError: a noise level is no positive number.
        BoundViolationError: a certificate lies below a measurement.
    """
    levels = {text: _level(text) for text in options.noise}
    with open_checkpoint(path) as checkpoint:
        network = load_network(options.model, device=options.device)
        inputs = load_inputs(options.inputs)
        sweep = _Sweep.of(network, network.state_from(checkpoint), inputs.values, options)
        measured = sweep.measure(levels, progress)
        points = tuple(sweep.points(levels, measured, progress))
        checkpoint.verify_unchanged()
        report = Report(
            study="perturb",
            provenance={
                **provenance(options, checkpoint),
                "inputs": inputs.note,
                "device": str(network.device),
            },
            verdict=Verdict(""),
            tensors=_tensor_rows(checkpoint),
            reference_accuracy=sweep.reference_accuracy,
            sweep=points,
        )
    return replace(report, verdict=Verdict(perturb_verdict(report)))


def _level(text: str) -> float:
    try:
        level = float(text)
    except ValueError:
        level = math.nan
    if not 0.0 < level < math.inf:
        raise UsageError(f"--noise {text}: expected levels above 0, such as 0.01,0.05,0.2")
    return level


def _tensor_rows(checkpoint: Checkpoint) -> tuple[TensorRow, ...]:
    return tuple(
        TensorRow(name, spec.shape, spec.encoding, None, layer_of(name), {})
        for name, spec in sorted(checkpoint.specs.items(), key=lambda item: natural_key(item[0]))
    )


@dataclass(slots=True)
class _Draws:
    """What every draw at one level and scope did: deviations (N,) each, and hits (N,) each."""

    deviations: list[Tensor] = field(default_factory=list)
    hits: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Sweep:
    """One network, its inputs and what its unperturbed outputs are."""

    network: Network
    state: State
    inputs: Tensor  # (N, ...)
    targets: Tensor | None  # (N,)
    reference: Reference
    options: PerturbOptions

    @classmethod
    def of(cls, network: Network, state: State, inputs: Tensor, options: PerturbOptions) -> _Sweep:
        targets = load_targets(options.targets, len(inputs)) if options.targets else None
        outputs = run(network, state, inputs, batch_size=options.batch_size)
        return cls(network, state, inputs, targets, Reference.of(outputs), options)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        return SCOPES if self.options.scope == "both" else (self.options.scope,)

    @property
    def reference_accuracy(self) -> Quantity:
        if self.targets is None:
            return Skipped("needs --targets")
        return fraction(hits(self.reference.outputs, self.targets))

    def names(self, scope: Scope) -> tuple[str, ...]:
        return perturbed_names(self.network, self.state, scope)

    def noise(self, draw: int, scope: Scope) -> dict[str, Tensor]:
        """The unit noise of one draw: the same at every level, so that levels compare."""
        return unit_noise(self.state, self.names(scope), seed=self.options.seed + draw)

    def measure(
        self, levels: Mapping[str, float], progress: Progress
    ) -> dict[tuple[str, Scope], _Draws]:
        """Run every draw at every level and scope on all inputs."""
        result = {(text, scope): _Draws() for text in levels for scope in self.scopes}
        total = self.options.draws * len(result)
        with progress.task("measuring", total) as advance:
            for draw in range(self.options.draws):
                for scope in self.scopes:
                    noise = self.noise(draw, scope)
                    for text, level in levels.items():
                        self._measure_one(noise, level, result[text, scope])
                        advance(1)
        return result

    def _measure_one(self, noise: Mapping[str, Tensor], level: float, into: _Draws) -> None:
        state = moved(self.network, self.state, noise, level)
        outputs = run(self.network, state, self.inputs, batch_size=self.options.batch_size)
        into.deviations.append(self.reference.deviation(outputs).cpu())
        if self.targets is not None:
            into.hits.append(hits(outputs, self.targets))

    def points(
        self,
        levels: Mapping[str, float],
        measured: Mapping[tuple[str, Scope], _Draws],
        progress: Progress,
    ) -> Iterator[SweepPoint]:
        """The row of every level and scope: what was measured, and every bound beside it."""
        few = slice(self.options.certify)
        certifier = Certifier.of(
            self.network, self.state, self.inputs[few], self.reference.outputs[few]
        )
        with progress.task("attacking and certifying", len(measured)) as advance:
            for scope in self.scopes:
                unit = self._unit_estimate(scope)
                for text, level in levels.items():
                    yield self._point(text, level, scope, measured[text, scope], unit, certifier)
                    advance(1)

    def _unit_estimate(self, scope: Scope) -> Quantity:
        return first_order_rms(
            self.network,
            self.state,
            self.inputs[:ESTIMATE_INPUTS],
            self.names(scope),
            batch_size=self.options.batch_size,
            seed=self.options.seed,
        )

    def _point(
        self,
        text: str,
        level: float,
        scope: Scope,
        draws: _Draws,
        unit: Quantity,
        certifier: Certifier,
    ) -> SweepPoint:
        every = torch.stack(draws.deviations)
        attacked = self._attack(level, scope)
        return SweepPoint(
            noise=text,
            scope=scope,
            deviation=SampleDeviation(
                over_draws(draws.deviations),
                over_draws(draws.deviations, power=2),
                quantiles(every),
            ),
            accuracy=_accuracy(draws),
            attack=largest(attacked),
            bounds=(
                self._certificate(level, scope, every, attacked, certifier),
                self._estimate(level, draws, unit),
                self._trust(level, scope, every, attacked),
            ),
        )

    def _attack(self, level: float, scope: Scope) -> Tensor:
        few = self.inputs[: self.options.certify]
        reference = self.reference.first(len(few))
        return worst_found(
            self.network, self.state, reference, few, self.names(scope), level,
            seed=self.options.seed,
        )  # fmt: skip

    def _certificate(
        self, level: float, scope: Scope, every: Tensor, attacked: Tensor, certifier: Certifier
    ) -> BoundRow:
        covered = len(certifier.inputs)
        value = certifier.ball(level, self.names(scope))
        measured = largest(torch.cat([every[:, :covered].flatten(), attacked]))
        require_above("ball_certificate", value, measured, lambda: self._in_float64(level, scope))
        return certificate_row(
            "ball_certificate", "ball", covered, value, measured,
            f"each tensor moves by at most {level:g} of its Frobenius norm ({scope})",
        )  # fmt: skip

    def _in_float64(self, level: float, scope: Scope) -> Exact | Skipped:
        """The largest deviation on the certified inputs, draws and attack run again in float64."""
        state = {n: v.double() if v.is_floating_point() else v for n, v in self.state.items()}
        few = self.inputs[: self.options.certify].double()
        again = replace(self, state=state, inputs=few, targets=None)
        outputs = run(self.network, state, few, batch_size=self.options.batch_size)
        again = replace(again, reference=Reference.of(outputs))
        draws = again.measure({"": level}, SILENT)["", scope]
        return largest(torch.cat([*draws.deviations, again._attack(level, scope)]))

    def _estimate(self, level: float, draws: _Draws, unit: Quantity) -> BoundRow:
        covered = min(ESTIMATE_INPUTS, len(self.inputs))
        return BoundRow(
            name="first_order_rms",
            standing="estimated",
            over="draws",
            inputs=covered,
            value=at_level(unit, level),
            measured=over_draws([d[:covered] for d in draws.deviations], power=2),
            assumptions=(
                "first order in the noise: the linearised network",
                "value and measurement are root mean squares over inputs and draws, not the worst",
            ),
        )

    def _trust(self, level: float, scope: Scope, every: Tensor, attacked: Tensor) -> BoundRow:
        weights = self.names("weights")
        assumptions = [MODEL, f"product over {len(weights)} weights"]
        if scope == "all" and len(self.names("all")) > len(weights):
            assumptions.append("biases and gains move too, and are not in the product")
        row = trust_of_sum(len(weights) * math.log1p(level), assumptions, over="ball")
        worst = largest(torch.cat([every.flatten(), attacked]))
        return replace(row, inputs=len(self.inputs), measured=worst)


def _accuracy(draws: _Draws) -> Quantity:
    if not draws.hits:
        return Skipped("needs --targets")
    return over_draws([hit.double() for hit in draws.hits])
