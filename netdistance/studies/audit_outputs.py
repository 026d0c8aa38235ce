"""The part of an audit that runs the networks: what each layer costs, and which to keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from netdistance.networks.batch import counted_positions
from netdistance.networks.load import few
from netdistance.pairing.layers import layer_of
from netdistance.probes.attribution import attribute
from netdistance.probes.deviation import Reference, require_repeatable, run
from netdistance.probes.keep_layers import Kept, keep_layers
from netdistance.probes.output_measures import deviation_rows, score_shape
from netdistance.progress import Progress
from netdistance.quantities import Exact, Quantity, Skipped
from netdistance.report.audit_rows import AuditRow, KeepRow
from netdistance.report.audit_verdict import DAMAGED
from netdistance.report.document import AttributionRow, DeviationRow, Report
from netdistance.report.provenance import with_note
from netdistance.report.rank_correlation import rank_correlation
from netdistance.studies.audit_options import AuditOptions
from netdistance.studies.pair_weights import OpenPair
from netdistance.studies.run_options import open_run

_ALONE = Skipped("not a layer of the model by itself")


def add_effects(
    report: Report, pair: OpenPair, options: AuditOptions, *, progress: Progress
) -> Report:
    """The report with what the outputs do, what each layer alone costs, and the layers to keep.

    What b lacks runs as in a, and a note says so: GGUF has no pooler, for one.

    Forwards: 2 over all inputs, 3 a moved layer over at most 256 of them (`probes.attribution`),
    and at most 3 (--keep + 1) over all for the list (`probes.keep_layers`).

    Raises:
        InputError: the network or the inputs cannot be used.
        CheckpointError: a checkpoint does not fit the network.
    """
    opened = open_run(options)
    network, inputs, size = opened.network, opened.inputs, options.batch_size
    a = network.state_from(pair.a)
    b, lacking = network.state_from(pair.b, otherwise=a), network.lacking(pair.b)
    with progress.task("running both networks", 2) as advance:
        before = run(network, a, inputs, batch_size=size)
        require_repeatable(network, a, inputs, before)
        advance(1)
        after = run(network, b, inputs, batch_size=size)
        advance(1)
    note = f"run with {len(lacking):,} tensors of a, which it lacks: {few(lacking)}"
    facts = with_note(report.provenance, 1, note if lacking else "")
    reference, shape = Reference.of(before), score_shape(network, a, inputs)
    deviation = deviation_rows(reference, after, opened.targets, shape, counted_positions(inputs))
    rows = attribute(network, a, b, inputs, batch_size=size, progress=progress)
    back = {row.layer: row.value for row in rows if row.scheme == "swap_out"}
    candidates = {layer: back[layer] for layer in _moved(report) if layer in back}
    # a list of most layers says only that compression costs something
    damaged = sum(row.verdict in DAMAGED for row in report.audit or ())
    most = min(options.keep, max(damaged, -(-len(candidates) // 2)))
    kept = keep_layers(
        network, a, b, inputs, reference, candidates, reference.deviation(after), most,
        batch_size=size, progress=progress,
    )  # fmt: skip
    ranks = DeviationRow("rank_correlation", rank_correlation(report.tensors, rows))
    return replace(
        report,
        provenance={**facts, **opened.provenance},
        deviation=(*deviation, ranks),
        attribution=rows,
        audit=_with_effects(report.audit or (), rows),
        keep=_keep_rows(pair, kept),
    )


def _moved(report: Report) -> list[str]:
    return [row.layer for row in report.audit or () if row.verdict != "lossless"]


def _with_effects(
    layers: tuple[AuditRow, ...], rows: tuple[AttributionRow, ...]
) -> tuple[AuditRow, ...]:
    """Each layer with the deviation of a that has this layer alone from b."""
    alone: Mapping[str, Quantity] = {r.layer: r.value for r in rows if r.scheme == "swap_in"}
    return tuple(
        replace(
            row,
            measured=alone.get(row.layer, Exact(0.0) if row.verdict == "lossless" else _ALONE),
        )
        for row in layers
    )


def _keep_rows(pair: OpenPair, kept: tuple[Kept, ...]) -> tuple[KeepRow, ...]:
    """The list with the bits of each mixed network, the kept layers as a stores them."""
    rows, high = [], set[str]()
    for layer, gain, deviation in kept:
        high.add(layer)
        rows.append(KeepRow(layer, gain, deviation, _bits(pair, high)))
    return tuple(rows)


def _bits(pair: OpenPair, high: set[str]) -> float | None:
    """Stored bits for each element of a weight, those of some layers as in a."""
    specs = [
        (pair.a if layer_of(one.name) in high else pair.b).specs[one.name]
        for one in pair.pairing.pairs
        if one.a.is_weight and one.tied_to is None
    ]
    elements = sum(spec.elements for spec in specs)
    return 8.0 * sum(spec.nbytes for spec in specs) / elements if elements else None
