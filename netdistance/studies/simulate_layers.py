"""The part of simulate that takes each layer alone: distance, bits, predicted and measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from netdistance.checkpoints import Checkpoint
from netdistance.compression.base import Scheme
from netdistance.compression.frontier import AS_IT_IS, Choice, Frontier
from netdistance.compression.layers import Layer, total_elements
from netdistance.compression.simulated import LayerValues, Predict, Simulated
from netdistance.progress import Progress
from netdistance.quantities import Quantity, Skipped, point
from netdistance.report.audit_rows import AuditRow
from netdistance.studies.run_options import Run
from netdistance.studies.simulate_options import SimulateOptions

if TYPE_CHECKING:
    from netdistance.probes.compressed_outputs import CompressedOutputs

NEEDS_MODEL = Skipped("needs --model and --inputs")


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
        # imported here: weights alone never import torch
        from netdistance.studies.simulate_network import prepared

        outputs, predict = prepared(checkpoint, layers, opened, options, runs)
        notes = {"layer_inputs": outputs.few}
    rows, choices = [], dict[str, list[Choice]]()
    floors = any(scheme.floor is not None for scheme in schemes)
    with progress.task("storing each layer in fewer bits", runs) as advance:
        for layer in layers:
            own = choices.setdefault(layer.name, [Choice(AS_IT_IS, layer.bits, 0.0)])
            values = LayerValues.read(checkpoint, layer, floors=floors)
            for found, stored in map(values.under, schemes):
                measured = outputs.alone(layer, stored) if outputs else NEEDS_MODEL
                rows.append(_row(found, predict(found), measured))
                own += _choices(rows[-1], found)
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


def _choices(row: AuditRow, found: Simulated) -> list[Choice]:
    """The layer under the scheme as a choice of the frontier; without a number it is none."""
    deviation = point(row.measured if row.measured is not NEEDS_MODEL else row.distance)
    if isinstance(row.distance, Skipped) or deviation is None:
        return []
    return [Choice(row.scheme, found.bits, deviation**2)]


def _no_prediction(found: Simulated) -> Quantity:
    return NEEDS_MODEL
