"""The part of compare that runs both networks: deviation, agreement, certificate and the path."""

from __future__ import annotations

import os
from dataclasses import replace

from netdistance.bounds.path import Path, deviation_rows
from netdistance.checkpoints import Checkpoint
from netdistance.networks.inputs import load_inputs, load_targets
from netdistance.networks.load import load_network
from netdistance.progress import Progress
from netdistance.report.document import Report

PLACES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def add_outputs(
    report: Report,
    a: Checkpoint,
    b: Checkpoint,
    *,
    model: str,
    inputs: str | os.PathLike[str],
    targets: str | os.PathLike[str] | None,
    certify: int,
    batch_size: int,
    device: str,
    progress: Progress,
) -> Report:
    """The report with what the outputs do, the bounds beside it, and the curve from a to b.

    Raises:
        InputError: the network or the inputs cannot be used.
        BoundViolationError: a certificate lies below a measurement.
    """
    network = load_network(model, device=device)
    data = load_inputs(inputs)
    labels = load_targets(targets, len(data.values)) if targets else None
    with progress.task("running both networks", len(PLACES)) as advance:
        path = Path.of(
            network,
            network.state_from(a),
            network.state_from(b),
            data.values,
            certify=certify,
            batch_size=batch_size,
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
