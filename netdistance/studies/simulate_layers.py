"""The part of simulate that takes each layer alone: distance, bits, predicted and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from netdistance.checkpoints import Checkpoint
from netdistance.compression.base import Scheme
from netdistance.compression.frontier import AS_IT_IS, Choice, Frontier
from netdistance.compression.layers import Layer, total_elements
from netdistance.compression.simulated import LayerValues, Simulated
from netdistance.progress import Progress
from netdistance.quantities import Estimate, Quantity, Skipped, point
from netdistance.report.audit_rows import AuditRow
from netdistance.studies.run_options import Run
from netdistance.studies.simulate_options import SimulateOptions

if TYPE_CHECKING:
    from netdistance.probes.compressed_outputs import CompressedOutputs

NEEDS_MODEL = Skipped("needs --model and --inputs")
# a first-order estimate by 16 random directions hardly gains from more inputs
ESTIMATE_INPUTS = 64

# the first-order effect of a layer, given how far each of its weights moves
Predict = Callable[[Simulated], Quantity]


@dataclass(frozen=True, slots=True)
class Audited:
    """Every layer under every scheme; `outputs` is there where a network ran."""

    layers: tuple[Layer, ...]
    schemes: tuple[Scheme, ...]
    rows: tuple[AuditRow, ...]
    frontier: Frontier
    outputs: CompressedOutputs | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


def audit_layers(
    checkpoint: Checkpoint,
    layers: tuple[Layer, ...],
    schemes: tuple[Scheme, ...],
    opened: Run | None,
    options: SimulateOptions,
    progress: Progress,
) -> Audited:
    """Store each layer under each scheme in turn, and run the network with it where there is one.

    Raises:
        CheckpointError: the file ended early, cannot be read, or does not fit the model.
        InputError: the network does not accept the inputs, or its forward is random.
    """
    runs = len(layers) * len(schemes)
    outputs: CompressedOutputs | None = None
    predict: Predict = _no_prediction
    notes: dict[str, Any] = {}
    if opened is not None:
        outputs, predict = _prepared(checkpoint, layers, opened, options, runs)
        notes = {"layer_inputs": outputs.few, "estimate_inputs": min(ESTIMATE_INPUTS, outputs.few)}
    rows, choices = [], dict[str, list[Choice]]()
    floors = any(scheme.floor is not None for scheme in schemes)
    with progress.task("storing each layer in fewer bits", runs) as advance:
        for layer in layers:
            own = choices.setdefault(layer.name, [Choice(AS_IT_IS, layer.bits, 0.0)])
            values = LayerValues.read(checkpoint, layer, floors=floors)
            for scheme in schemes:
                found, stored = values.under(scheme)
                measured: Quantity = NEEDS_MODEL
                if outputs is not None:
                    measured = outputs.alone(layer, stored)
                row = _row(found, predict(found), measured)
                rows.append(row)
                if (choice := _choice(row, found)) is not None:
                    own.append(choice)
                advance(1)
    frontier = Frontier.of(choices, total_elements(layers))
    return Audited(layers, schemes, tuple(rows), frontier, outputs, notes)


def _row(found: Simulated, predicted: Quantity, measured: Quantity) -> AuditRow:
    return AuditRow(
        layer=found.layer.name,
        scheme=found.scheme.name,
        rounding_of=found.rounding_of,
        bits_per_weight=found.bits_per_weight,
        distance=found.distance,
        measured=measured,
        verdict=found.verdict,
        reason=found.reason,
        predicted=predicted,
    )


def _choice(row: AuditRow, found: Simulated) -> Choice | None:
    """The layer under the scheme as a choice of the frontier; without a number it is none."""
    deviation = point(row.measured if row.measured is not NEEDS_MODEL else row.distance)
    if isinstance(row.distance, Skipped) or deviation is None:
        return None
    return Choice(row.scheme, found.bits, deviation**2)


def _no_prediction(found: Simulated) -> Quantity:
    return NEEDS_MODEL


def _prepared(
    checkpoint: Checkpoint,
    layers: tuple[Layer, ...],
    opened: Run,
    options: SimulateOptions,
    runs: int,
) -> tuple[CompressedOutputs, Predict]:
    """The network as it is, and what predicts the effect of a layer to first order."""
    # imported here: weights alone never import torch
    from netdistance.bounds.estimates import first_order
    from netdistance.probes.compressed_outputs import CompressedOutputs

    network, batch_size = opened.network, options.batch_size
    state = network.state_from(checkpoint)
    outputs = CompressedOutputs.of(network, state, opened.inputs, runs=runs, batch_size=batch_size)
    ties, parameters = network.ties, set(network.parameters)
    first = {
        w.spec.name: ties[w.spec.name]
        for layer in layers
        for w in layer.weights
        if ties.get(w.spec.name) in parameters
    }
    few = opened.inputs[: min(ESTIMATE_INPUTS, outputs.few)]
    names = tuple(dict.fromkeys(first.values()))
    order = first_order(network, state, few, names, batch_size=batch_size, seed=options.seed)

    def predict(found: Simulated) -> Quantity:
        effects = []
        for name, relative in found.relative.items():
            if name not in first:
                return Skipped("one of its weights is no parameter")
            effects.append((order.rms([first[name]]), relative))
        if len(effects) < len(found.layer.weights):
            return Skipped("one of its weights has no distance")
        return _together(effects)

    return outputs, predict


def _together(effects: list[tuple[Quantity, float]]) -> Quantity:
    """The root of the sum of squares of unit effects, each times its relative distance."""
    total = error = 0.0
    for unit, relative in effects:
        if not isinstance(unit, Estimate):
            return unit
        total += (unit.value * relative) ** 2
        error += (unit.value * unit.stderr * relative**2) ** 2
    root = total**0.5
    return Estimate(root, error**0.5 / root if root > 0.0 else 0.0)
