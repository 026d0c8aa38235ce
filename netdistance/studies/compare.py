"""compare: how far apart are two checkpoints, and what does it do to the outputs?"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from netdistance.bounds.trust import trust_rows, with_shares
from netdistance.checkpoints import Checkpoint, open_checkpoint
from netdistance.checkpoints.adapted import open_beside
from netdistance.distances.account import account, tensor_rows
from netdistance.distances.passes import measure_pairs
from netdistance.pairing.conversions import Conversions
from netdistance.pairing.facing import facing, suggestion
from netdistance.pairing.match import Pairing, pair_tensors, require_comparable
from netdistance.pairing.rename import rules_for_pair
from netdistance.progress import SILENT, Progress
from netdistance.report.document import Report, Verdict
from netdistance.report.provenance import provenance
from netdistance.report.thresholds import Condition, judge
from netdistance.report.verdicts import compare_verdict
from netdistance.studies.compare_options import CompareOptions

if TYPE_CHECKING:
    from netdistance.checkpoints.opening import Source

__all__ = ["CompareOptions", "compare"]


def compare(
    a: Source,
    b: Source,
    options: CompareOptions | None = None,
    *,
    progress: Progress = SILENT,
) -> Report:
    """The report of how far checkpoint b is from the reference a.

    Each is a file, a folder, a module, or a mapping of names to tensors or arrays. Where b is the
    folder of a LoRA adapter, it means a with the adapter added.

    Raises:
        CheckpointError: a file is unreadable or invalid.
        NothingComparableError: the files are valid and share no tensor that can be compared.
        UsageError: `model` without `inputs`, or a threshold that cannot be read.
    """
    options = options or CompareOptions()
    options.require_consistent()
    conditions = [Condition.parse(expression) for expression in options.fail_if]
    rules = rules_for_pair(options.strip_prefix, options.rename, options.only, options.skip)
    with open_checkpoint(a) as file_a, open_beside(file_a, b) as file_b:
        left, right, found = facing(file_a, file_b, rules, conversions=options.conversions)
        pairing = pair_tensors(left.specs, right.specs, ties_a=left.ties, ties_b=right.ties)
        require_comparable(left, right, pairing)
        report = _weights(left, right, pairing, found, options, progress)
        changes = [row.metrics["relative_frobenius"] for row in report.tensors]
        hint = suggestion(left, right, pairing, changes)
        if options.model is not None:
            # imported here: weights alone never import torch
            from netdistance.studies.compare_outputs import add_outputs

            report = add_outputs(report, left, right, options, progress=progress)
        left.verify_unchanged()
        right.verify_unchanged()
    thresholds = judge(report, conditions, require_all=options.require_all)
    # a folder is called by its name, whatever it holds
    paths = [s if isinstance(s, str | os.PathLike) else c.path for s, c in ((a, left), (b, right))]
    text = compare_verdict(report, *paths) + (f" {hint}." if hint else "")
    return replace(report, verdict=Verdict(text, thresholds))


def _weights(
    a: Checkpoint,
    b: Checkpoint,
    pairing: Pairing,
    conversions: Conversions | None,
    options: CompareOptions,
    progress: Progress,
) -> Report:
    """What the weights alone say; no verdict yet."""
    measured = measure_pairs(
        a,
        b,
        pairing.pairs,
        all_metrics=options.all_metrics,
        spectral=options.spectral,
        threads=options.threads,
        progress=progress,
    )
    rows = tensor_rows(pairing, measured, conversions)
    bounds = trust_rows(rows, pairing, spectral=options.spectral)
    return Report(
        study="compare",
        provenance=provenance(options, a, b),
        verdict=Verdict(""),
        pairing=account(pairing, measured, conversions),
        tensors=with_shares(rows, bounds[0]),
        bounds=bounds,
    )
