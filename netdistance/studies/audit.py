"""audit: what did compressing a checkpoint do to it, layer by layer, and which layers to keep?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netdistance.checkpoints.opening import local_path
from netdistance.distances.audit_layers import judge_layers
from netdistance.distances.landing import adapter_rows
from netdistance.progress import SILENT, Progress
from netdistance.report.audit_verdict import audit_verdict
from netdistance.report.document import Report, Verdict
from netdistance.report.thresholds import Condition, judge, judge_verdicts
from netdistance.report.verdicts import titles_of
from netdistance.studies.audit_options import AuditOptions
from netdistance.studies.pair_weights import OpenPair, measure_weights, open_pair, weights_report

if TYPE_CHECKING:
    from netdistance.checkpoints.opening import Source

__all__ = ["AuditOptions", "audit"]


def audit(
    a: Source,
    b: Source,
    options: AuditOptions | None = None,
    *,
    progress: Progress = SILENT,
) -> Report:
    """The report of what compressing a to b did: compare's numbers, and a verdict on each layer.

    Each is a file, a folder, a module, or a mapping of names to tensors or arrays. A verdict says
    whether a layer is lossless, moved as rounding to its own storage would move it, moved more, is
    broken, or could not be compared. With a model and inputs: what each layer alone does to the
    outputs, and the layers to keep as they are in a, each measured. With an adapter: whether it
    landed in b, whose layers are then judged against a with it added.

    Raises:
        CheckpointError: a file is unreadable or invalid, or does not fit the model.
        NothingComparableError: the files are valid and share no tensor that can be compared.
        UsageError: `model` without `inputs`, or a threshold that cannot be read.
        InputError: the network or the inputs cannot be used.
    """
    options = options or AuditOptions()
    options.require_consistent()
    conditions = [Condition.parse(expression) for expression in options.fail_if]
    with open_pair(a, b, options, adapter=options.adapter) as pair:
        measured = measure_weights(pair, options, progress)
        report = weights_report("audit", pair, measured, options)
        layers = judge_layers(
            pair.a, pair.b, pair.pairing, measured, threads=options.threads, progress=progress
        )
        report = replace(report, audit=layers)
        if options.adapter is not None:
            landed = adapter_rows(pair.base, pair.b, local_path(options.adapter), progress=progress)
            report = replace(report, adapter=landed)
        if options.model is not None:
            # imported here: weights alone never import torch
            from netdistance.studies.audit_outputs import add_effects

            report = add_effects(report, pair, options, progress=progress)
        hint = pair.hint(report)
        if options.adapter is None:  # merged weights do take more bits than a packed base
            hint = _order_hint(pair) + hint
    thresholds = (
        *judge(report, conditions, require_all=options.require_all),
        *judge_verdicts(report, options.fail_on),
    )
    text = audit_verdict(report, *pair.paths) + hint
    return replace(report, verdict=Verdict(text, thresholds))


def _order_hint(pair: OpenPair) -> str:
    """That the two may be exchanged, where a is packed and takes fewer bits a weight than b."""
    weights = [(p.a, p.b) for p in pair.pairing.pairs if p.a.is_weight and p.b.is_weight]
    is_packed = any(a.decoding is not None for a, _ in weights)
    elements = sum(a.elements for a, _ in weights)
    if not is_packed or not elements:
        return ""
    first, second = (
        8 * sum(spec.nbytes for spec in s) / elements for s in zip(*weights, strict=True)
    )
    if first >= second:
        return ""
    a, b = titles_of(*pair.paths)
    return (
        f" {a} takes {first:.3g} bits per weight and {b} {second:.3g}: "
        "if the first is the copy, exchange them."
    )
