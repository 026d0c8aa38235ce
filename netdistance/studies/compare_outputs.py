"""The part of compare that runs both networks: outputs, layers, attribution and the path."""

from __future__ import annotations

from dataclasses import replace

from netdistance.bounds.path import Path
from netdistance.checkpoints import Checkpoint
from netdistance.networks.batch import counted_positions
from netdistance.probes.attribution import attribute
from netdistance.probes.layer_deviation import layer_deviation
from netdistance.probes.output_measures import deviation_rows, score_shape
from netdistance.progress import Progress
from netdistance.report.document import DeviationRow, Report
from netdistance.report.rank_correlation import rank_correlation
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
    """The report with what outputs and layers do, the bounds beside it, and the curve from a to b.

    `options` names a model and inputs.

    Raises:
        InputError: the network or the inputs cannot be used.
        BoundViolationError: a certificate lies below a measurement.
    """
    opened = open_run(options)
    network, inputs, batch_size = opened.network, opened.inputs, options.batch_size
    pair = (network, network.state_from(a), network.state_from(b), inputs)
    with progress.task("running both networks", len(PLACES)) as advance:
        path = Path.of(*pair, certify=options.certify, batch_size=batch_size)
        points = []
        for t in PLACES:
            outputs = path.outputs(t)
            points.append(path.place(t, outputs, report))
            advance(1)
    shape = score_shape(network, path.a, inputs)
    counted = counted_positions(inputs)
    deviation = deviation_rows(path.reference, outputs, opened.targets, shape, counted)
    layers = layer_deviation(*pair, batch_size=batch_size, progress=progress)
    attribution = attribute(*pair, batch_size=batch_size, progress=progress)
    ranks = DeviationRow("rank_correlation", rank_correlation(report.tensors, attribution))
    return replace(
        report,
        provenance={**report.provenance, **opened.provenance},
        deviation=(*deviation, ranks),
        bounds=points[-1].bounds,
        layers=layers,
        attribution=attribution,
        path=tuple(points),
    )
