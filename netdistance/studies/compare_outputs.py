"""The part of compare that runs both networks: deviation, agreement, certificate and the path."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

from netdistance.bounds.certificates import Certifier, certificate_row, require_above
from netdistance.bounds.trust import is_weight, trust_of_sum
from netdistance.checkpoints import Checkpoint
from netdistance.networks.change import Norms
from netdistance.networks.inputs import load_inputs, load_targets
from netdistance.networks.load import Network, State, load_network
from netdistance.probes.deviation import (
    Reference,
    agreement,
    fraction,
    hits,
    largest,
    mean_over_inputs,
    quantiles,
    run,
)
from netdistance.progress import Progress
from netdistance.quantities import Exact, Skipped, point
from netdistance.report.document import BoundRow, DeviationRow, PathPoint, Report

if TYPE_CHECKING:
    from netdistance.studies.compare import CompareOptions

PATH = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def add_outputs(
    report: Report, a: Checkpoint, b: Checkpoint, options: CompareOptions, progress: Progress
) -> Report:
    """The report with what the outputs do, the bounds beside it, and the curve from a to b.

    Raises:
        InputError: the network or the inputs cannot be used.
        BoundViolationError: a certificate lies below a measurement.
    """
    assert options.model is not None and options.inputs is not None
    network = load_network(options.model, device=options.device)
    inputs = load_inputs(options.inputs)
    path = _Path.of(network, a, b, inputs.values, options)
    targets = load_targets(options.targets, len(inputs.values)) if options.targets else None
    with progress.task("running both networks", len(PATH)) as advance:
        places = []
        for t in PATH:
            outputs = path.outputs(t)
            places.append(path.place(t, outputs, report))
            advance(1)
    return replace(
        report,
        provenance={**report.provenance, "inputs": inputs.note, "device": str(network.device)},
        deviation=_deviation_rows(path.reference, outputs, targets),
        bounds=places[-1].bounds,
        path=tuple(places),
    )


@dataclass(frozen=True, slots=True)
class _Path:
    """The networks a + t(b - a) for t from 0 to 1, on one set of inputs."""

    network: Network
    a: State
    b: State
    inputs: Tensor  # (N, ...)
    batch_size: int
    reference: Reference
    certifier: Certifier
    changed: Norms

    @classmethod
    def of(
        cls, network: Network, a: Checkpoint, b: Checkpoint, inputs: Tensor, options: CompareOptions
    ) -> _Path:
        state_a, state_b = network.state_from(a), network.state_from(b)
        outputs = run(network, state_a, inputs, batch_size=options.batch_size)
        few = slice(options.certify)
        return cls(
            network,
            state_a,
            state_b,
            inputs,
            options.batch_size,
            Reference.of(outputs),
            Certifier.of(network, state_a, inputs[few], outputs[few]),
            Norms(state_b),
        )

    def outputs(self, t: float) -> Tensor:
        return run(
            self.network, _between(self.a, self.b, t), self.inputs, batch_size=self.batch_size
        )

    def place(self, t: float, outputs: Tensor, report: Report) -> PathPoint:
        """The measurement at t, beside every bound there."""
        deviation = self.reference.deviation(outputs)
        bounds = (
            replace(_trust(report, t), inputs=len(deviation), measured=largest(deviation)),
            self._certificate(t, deviation),
        )
        return PathPoint(t, mean_over_inputs(deviation), bounds)

    def _certificate(self, t: float, deviation: Tensor) -> BoundRow:
        covered = len(self.certifier.inputs)
        value, measured = self.certifier.known(self.changed, t), largest(deviation[:covered])
        require_above("known_change_certificate", value, measured, lambda: self._in_float64(t))
        return certificate_row("known_change_certificate", "known", covered, value, measured)

    def _in_float64(self, t: float) -> Exact | Skipped:
        a, b = ({n: v.double() for n, v in state.items()} for state in (self.a, self.b))
        few = self.certifier.inputs
        first = Reference.of(run(self.network, a, few, batch_size=self.batch_size))
        moved = run(self.network, _between(a, b, t), few, batch_size=self.batch_size)
        return largest(first.deviation(moved))


def _between(a: State, b: State, t: float) -> State:
    if t == 1.0:
        return b
    return {
        name: tensor + t * (b[name] - tensor) if tensor.is_floating_point() else tensor
        for name, tensor in a.items()
    }


def _trust(report: Report, t: float) -> BoundRow:
    """Deep relative trust of the change from a to a + t(b - a)."""
    (whole,) = (row for row in report.bounds if row.name == "deep_relative_trust")
    if whole.log1p_sum is None:
        return whole
    moved = [point(r.metrics["relative_frobenius"]) for r in report.tensors if is_weight(r)]
    total = math.fsum(math.log1p(t * r) for r in moved if r is not None)
    return trust_of_sum(total, whole.assumptions)


def _deviation_rows(
    reference: Reference, outputs: Tensor, targets: Tensor | None
) -> tuple[DeviationRow, ...]:
    deviation = reference.deviation(outputs)
    rows = [
        DeviationRow(
            "relative_output_deviation", mean_over_inputs(deviation), quantiles(deviation)
        ),
        DeviationRow("top1_agreement", agreement(reference.outputs, outputs)),
    ]
    if targets is not None:
        for side, values in (("a", reference.outputs), ("b", outputs)):
            rows.append(DeviationRow(f"accuracy_{side}", fraction(hits(values, targets))))
    return tuple(rows)
