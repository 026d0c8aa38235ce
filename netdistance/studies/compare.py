"""compare: how far apart are two checkpoints, and what does it do to the outputs?"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from netdistance.bounds.trust import is_weight, trust_row, trust_shares
from netdistance.checkpoints import Checkpoint, open_checkpoint
from netdistance.distances.measure import is_identical, metrics_of, why_without_distance
from netdistance.distances.stream import stream_sums
from netdistance.errors import NothingComparableError, UsageError
from netdistance.linalg.sums import PairSums
from netdistance.pairing.layers import layer_of
from netdistance.pairing.match import Pairing, pair_tensors
from netdistance.progress import SILENT, Progress
from netdistance.quantities import Skipped
from netdistance.report.document import (
    NonFinite,
    PairingAccount,
    Report,
    Reshaped,
    SkippedTensor,
    TensorRow,
    Verdict,
)
from netdistance.report.provenance import provenance
from netdistance.report.thresholds import Condition, report_values, require_all
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
        rows = _tensor_rows(pairing, sums)
        trust = trust_row(
            rows, unmatched=_unmatched_weights(left, right, pairing), unreadable=_unread(pairing)
        )
        account = _account(pairing, sums)
        report = Report(
            study="compare",
            provenance=provenance(options, left, right),
            verdict=Verdict(""),
            pairing=account,
            tensors=rows,
            bounds=(trust,),
        )
        if options.model is not None:
            from netdistance.studies.compare_outputs import add_outputs

            report = add_outputs(report, left, right, options, progress)
        left.verify_unchanged()
        right.verify_unchanged()
    thresholds = [condition.judge(report_values(report)) for condition in conditions]
    if options.require_all:
        thresholds.append(require_all(account))
    return replace(report, verdict=Verdict(compare_verdict(report, a, b), tuple(thresholds)))


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
            f"{len(pairing.reshaped)} of other shape; check that they are one architecture"
        )


def _tensor_rows(pairing: Pairing, sums: Mapping[str, PairSums]) -> tuple[TensorRow, ...]:
    rows = [
        TensorRow(
            name=pair.name,
            shape=pair.a.shape,
            encoding_a=pair.a.encoding,
            encoding_b=pair.b.encoding,
            layer=layer_of(pair.name),
            metrics=metrics_of(pair, sums.get(pair.name)),
        )
        for pair in pairing.pairs
    ]
    shares = trust_shares(rows)
    return tuple(
        replace(row, metrics={**row.metrics, "trust_share": shares[row.name]})
        if row.name in shares
        else row
        for row in rows
    )


def _account(pairing: Pairing, sums: Mapping[str, PairSums]) -> PairingAccount:
    measured = [pair for pair in pairing.pairs if pair.name in sums]
    reasons = [(pair, why_without_distance(pair, sums.get(pair.name))) for pair in pairing.pairs]
    return PairingAccount(
        compared=len(measured),
        identical=sum(is_identical(sums[pair.name]) for pair in measured),
        only_a=pairing.only_a,
        only_b=pairing.only_b,
        reshaped=tuple(Reshaped(p.name, p.a.shape, p.b.shape) for p in pairing.reshaped),
        skipped=tuple(SkippedTensor(p.name, reason) for p, reason in reasons if reason),
        non_finite=tuple(
            NonFinite(p.name, sums[p.name].non_finite_a, sums[p.name].non_finite_b)
            for p in measured
            if not sums[p.name].finite
        ),
    )


def _unread(pairing: Pairing) -> Sequence[str]:
    return [pair.name for pair in pairing.pairs if pair.unreadable is not None]


def _unmatched_weights(a: Checkpoint, b: Checkpoint, pairing: Pairing) -> Sequence[str]:
    """The weights that deep relative trust would count if they had a partner."""
    lonely = [(name, a) for name in (*pairing.only_a, *(p.name for p in pairing.reshaped))]
    lonely += [(name, b) for name in pairing.only_b]
    return [name for name, side in lonely if is_weight(_bare_row(name, side))]


def _bare_row(name: str, side: Checkpoint) -> TensorRow:
    spec = side.specs[name]
    metrics = {"relative_frobenius": Skipped("not matched")}
    return TensorRow(name, spec.shape, spec.encoding, None, layer_of(name), metrics)
