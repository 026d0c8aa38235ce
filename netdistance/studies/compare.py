"""compare: how far apart are two checkpoints, and what does it do to the outputs?"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from netdistance.bounds.trust import trust_row, with_shares
from netdistance.checkpoints import Checkpoint, open_checkpoint
from netdistance.distances.account import account, tensor_rows
from netdistance.distances.stream import stream_rounding, stream_sums
from netdistance.errors import UsageError
from netdistance.pairing.match import pair_tensors, require_comparable
from netdistance.pairing.rename import renamed, rules_for_pair
from netdistance.pairing.suggest import suggest_rule
from netdistance.progress import SILENT, Progress
from netdistance.report.document import Report, Verdict
from netdistance.report.provenance import provenance
from netdistance.report.thresholds import Condition, judge
from netdistance.report.verdicts import compare_verdict

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What compare is asked beyond the two files.

    `model` is `package.module:factory` or `file.py:factory`: naming it runs its code. `rename` is
    of `REGEX=REPLACEMENT`, for b's names; `strip_prefix`, `only` and `skip` are for both sides'.
    """

    model: str | None = None
    inputs: PathLike | None = None
    targets: PathLike | None = None
    certify: int = 16
    batch_size: int = 512
    device: str = "auto"
    seed: int = 0
    threads: int | None = None
    strip_prefix: str = ""
    rename: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    fail_if: tuple[str, ...] = ()
    require_all: bool = False


def compare(
    a: PathLike,
    b: PathLike,
    options: CompareOptions | None = None,
    *,
    progress: Progress = SILENT,
) -> Report:
    """The report of how far checkpoint b is from the reference a.

    Raises:
        CheckpointError: a file is unreadable or invalid.
        NothingComparableError: the files are valid and share no tensor that can be compared.
        UsageError: `model` without `inputs`, or a threshold that cannot be read.
    """
    options = options or CompareOptions()
    _require_consistent(options)
    conditions = [Condition.parse(expression) for expression in options.fail_if]
    rules_a, rules_b = rules_for_pair(
        options.strip_prefix, options.rename, options.only, options.skip
    )
    with open_checkpoint(a) as file_a, open_checkpoint(b) as file_b:
        left, right = renamed(file_a, rules_a), renamed(file_b, rules_b)
        pairing = pair_tensors(left.specs, right.specs)
        require_comparable(left, right, pairing)
        sums = stream_sums(left, right, pairing.pairs, threads=options.threads, progress=progress)
        rounding = stream_rounding(
            left, pairing.pairs, sums, threads=options.threads, progress=progress
        )
        rows = tensor_rows(pairing, sums, rounding)
        trust = trust_row(rows, pairing)
        report = Report(
            study="compare",
            provenance=provenance(options, left, right),
            verdict=Verdict(""),
            pairing=account(pairing, sums),
            tensors=with_shares(rows, trust),
            bounds=(trust,),
        )
        if options.model is not None:
            report = _with_outputs(report, left, right, options, progress)
        left.verify_unchanged()
        right.verify_unchanged()
    thresholds = judge(report, conditions, require_all=options.require_all)
    hint = suggest_rule(pairing.only_a, pairing.only_b)
    text = compare_verdict(report, left.path, right.path) + (f" {hint}." if hint else "")
    return replace(report, verdict=Verdict(text, thresholds))


def _require_consistent(options: CompareOptions) -> None:
    if (options.model is None) != (options.inputs is None):
        raise UsageError("--model and --inputs go together; give both, or neither")
    if options.targets is not None and options.model is None:
        raise UsageError("--targets says how outputs are judged: give --model and --inputs too")


def _with_outputs(
    report: Report, a: Checkpoint, b: Checkpoint, options: CompareOptions, progress: Progress
) -> Report:
    # weights alone never import torch
    from netdistance.studies.compare_outputs import add_outputs

    assert options.model is not None and options.inputs is not None
    return add_outputs(
        report,
        a,
        b,
        model=options.model,
        inputs=options.inputs,
        targets=options.targets,
        certify=options.certify,
        batch_size=options.batch_size,
        device=options.device,
        progress=progress,
    )
