"""The part of compare that runs both networks: deviation, agreement, certificate and the path."""

from __future__ import annotations

from dataclasses import replace

from netdistance.bounds.path import Path, deviation_rows
from netdistance.checkpoints import Checkpoint
from netdistance.networks.inputs import load_inputs, load_targets
from netdistance.networks.load import load_network
from netdistance.progress import Progress
from netdistance.report.document import Report
from netdistance.studies.compare_options import CompareOptions

PLACES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def add_outputs(
    report: Report,
    a: Checkpoint,
    b: Checkpoint,
    options: CompareOptions,
    *,
    progress: Progress,
) -> Report:
    """The report with what the outputs do, the bounds beside it, and the curve from a to b.

    `options` names a model and inputs.

    Raises:
        InputError: the network or the inputs cannot be used.
        BoundViolationError: a certificate lies below a measurement.
    """
    assert options.model is not None and options.inputs is not None
    network = load_network(options.model, device=options.device)
    data = load_inputs(options.inputs)
    labels = load_targets(options.targets, len(data.values)) if options.targets else None
    with progress.task("running both networks", len(PLACES)) as advance:
        path = Path.of(
            network,
            network.state_from(a),
            network.state_from(b),
            data.values,
            certify=options.certify,
            batch_size=options.batch_size,
        )
        points = []
        for t in PLACES:
            outputs = path.outputs(t)
            points.append(path.place(t, outputs, report))
            advance(1)
    return replace(
        report,
        provenance={**report.provenance, "inputs": data.note, "device": str(network.device)},
        deviation=deviation_rows(path.reference, outputs, labels),
        bounds=points[-1].bounds,
        path=tuple(points),
    )
