"""simulate: what would storing each layer in fewer bits cost, and which to store how?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netdistance.checkpoints import open_checkpoint
from netdistance.compression.layers import layers_to_compress
from netdistance.compression.schemes import schemes_of
from netdistance.compression.write import write_compressed
from netdistance.errors import NothingComparableError
from netdistance.pairing.rename import renamed, rules_for_pair
from netdistance.progress import SILENT, Progress
from netdistance.report.document import Report, Verdict
from netdistance.report.frontier_text import simulate_verdict
from netdistance.report.provenance import provenance
from netdistance.report.thresholds import Condition, judge
from netdistance.studies.run_options import open_run
from netdistance.studies.simulate_layers import audit_layers
from netdistance.studies.simulate_options import SimulateOptions
from netdistance.studies.simulate_points import chosen_assignment, frontier_rows, sizes_alone
from netdistance.studies.tensor_rows import tensor_rows

if TYPE_CHECKING:
    from netdistance.checkpoints.opening import Source

__all__ = ["SimulateOptions", "simulate"]


def simulate(source: Source, options: SimulateOptions, *, progress: Progress = SILENT) -> Report:
    """The report of every layer under every scheme, of the frontier, and of what a budget buys.

    Without a model there are distances, sizes and verdicts alone.

    Raises:
        CheckpointError: the file is unreadable, invalid, or does not fit the model.
        InputError: the model or its inputs cannot be used.
        NothingComparableError: the file has no weight of two or more axes.
        OutputError: the compressed checkpoint could not be written; no part of it stays.
        UsageError: a scheme, the budget or a combination of options cannot be understood.
    """
    schemes = schemes_of(options.schemes)
    options.require_consistent()
    conditions = [Condition.parse(expression) for expression in options.fail_if]
    _, rules = rules_for_pair(options.strip_prefix, options.rename, (), options.skip)
    with open_checkpoint(source) as file:
        checkpoint = renamed(file, rules)
        opened = open_run(options) if options.runs else None
        layers = layers_to_compress(checkpoint, opened.network.ties if opened else None)
        if not layers:
            what = "holds no weight: no readable tensor of floating point with two or more axes"
            raise NothingComparableError(f"{checkpoint.path}: {what}")
        audited = audit_layers(checkpoint, layers, schemes, opened, options, progress)
        if audited.outputs is None:
            frontier = sizes_alone(audited)
        else:
            frontier = frontier_rows(checkpoint, audited, options.limit, progress)
        notes = {}
        if options.write is not None:
            assignment = chosen_assignment(frontier)
            notes = write_compressed(checkpoint, layers, schemes, assignment, options.write)
        checkpoint.verify_unchanged()
        where = provenance(options, checkpoint)
        rows = tensor_rows(checkpoint)
    report = Report(
        study="simulate",
        provenance={**where, **(opened.provenance if opened else {}), **audited.notes, **notes},
        verdict=Verdict(""),
        tensors=rows,
        audit=audited.rows,
        frontier=frontier,
    )
    thresholds = judge(report, conditions, require_all=False)
    return replace(report, verdict=Verdict(simulate_verdict(report), thresholds))
