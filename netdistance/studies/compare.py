"""compare: how far apart are two checkpoints, and what does it do to the outputs?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netdistance.progress import SILENT, Progress
from netdistance.report.document import Report, Verdict
from netdistance.report.thresholds import Condition, judge
from netdistance.report.verdicts import compare_verdict
from netdistance.studies.compare_options import CompareOptions
from netdistance.studies.pair_weights import measure_weights, open_pair, weights_report

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
    with open_pair(a, b, options) as pair:
        report = weights_report("compare", pair, measure_weights(pair, options, progress), options)
        hint = pair.hint(report)
        if options.model is not None:
            # imported here: weights alone never import torch
            from netdistance.studies.compare_outputs import add_outputs

            report = add_outputs(report, pair.a, pair.b, options, progress=progress)
    thresholds = judge(report, conditions, require_all=options.require_all)
    text = compare_verdict(report, *pair.paths) + hint
    return replace(report, verdict=Verdict(text, thresholds))
