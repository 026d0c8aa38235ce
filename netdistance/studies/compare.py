"""compare: how far apart are two checkpoints, and what does it do to the outputs?"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from netdistance.bounds.trust import trust_row, with_shares
from netdistance.checkpoints import Checkpoint, open_checkpoint
from netdistance.distances.account import account, tensor_rows
from netdistance.distances.stream import stream_sums
from netdistance.errors import NothingComparableError, UsageError
from netdistance.pairing.match import Pairing, pair_tensors
from netdistance.progress import SILENT, Progress
from netdistance.report.document import Report, Verdict
from netdistance.report.provenance import provenance
from netdistance.report.thresholds import Condition, judge
from netdistance.report.verdicts import compare_verdict

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What compare is asked beyond the two files.

    `model` is `package.module:factory` or `file.py:factory`: naming it runs its code.
    """

    model: str | None = None
    inputs: PathLike | None = None
    targets: PathLike | None = None
    certify: int = 16
    batch_size: int = 1024
    device: str = "auto"
    seed: int = 0
    threads: int | None = None
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
    conditions = [Condition.parse(expression) for expression in options.fail_if]
    if (options.model is None) != (options.inputs is None):
        raise UsageError("--model and --inputs go together; give both, or neither")
    with open_checkpoint(a) as left, open_checkpoint(b) as right:
        pairing = pair_tensors(left.specs, right.specs)
        _require_comparable(left, right, pairing)
        sums = stream_sums(left, right, pairing.pairs, threads=options.threads, progress=progress)
        rows = tensor_rows(pairing, sums)
        report = Report(
            study="compare",
            provenance=provenance(options, left, right),
            verdict=Verdict(""),
            pairing=account(pairing, sums),
            tensors=with_shares(rows),
            bounds=(trust_row(rows, pairing),),
        )
        if options.model is not None:
            report = _with_outputs(report, left, right, options, progress)
        left.verify_unchanged()
        right.verify_unchanged()
    thresholds = judge(report, conditions, require_all=options.require_all)
    return replace(report, verdict=Verdict(compare_verdict(report, a, b), thresholds))


def _require_comparable(a: Checkpoint, b: Checkpoint, pairing: Pairing) -> None:
    for side in (a, b):
        if not side.specs:
            raise NothingComparableError(f"{side.path}: holds no tensors")
    if not any(pair.unreadable is None for pair in pairing.pairs):
        only_a, only_b = next(iter(a.specs)), next(iter(b.specs))
        raise NothingComparableError(
            f"{b.path}: shares no comparable tensor with {a.path}: "
            f"{len(pairing.only_a)} names only in a (such as {only_a!r}), "
            f"{len(pairing.only_b)} only in b (such as {only_b!r}), "
            f"{len(pairing.reshaped)} of other shape, {len(pairing.pairs)} unreadable"
            f"{_example(pairing)}; check that they are one architecture"
        )


def _example(pairing: Pairing) -> str:
    return next((f" (such as {p.name!r}: {p.unreadable})" for p in pairing.pairs), "")


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
