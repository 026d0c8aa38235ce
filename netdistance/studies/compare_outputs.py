"""The part of compare that runs both networks: deviation, agreement, certificate and the path."""

from __future__ import annotations

from dataclasses import replace

from netdistance.bounds.path import Path, deviation_rows
from netdistance.checkpoints import Checkpoint
from netdistance.progress import Progress
from netdistance.report.document import Report
from netdistance.studies.compare_options import CompareOptions
from netdistance.studies.run_options import open_run

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
    opened = open_run(options)
    network = opened.network
    with progress.task("running both networks", len(PLACES)) as advance:
        path = Path.of(
            network,
            network.state_from(a),
            network.state_from(b),
            opened.inputs,
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
        provenance={**report.provenance, **opened.provenance},
        deviation=deviation_rows(path.reference, outputs, opened.targets),
        bounds=points[-1].bounds,
        path=tuple(points),
    )
