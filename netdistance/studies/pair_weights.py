"""Two checkpoints opened, paired and measured: the steps of every study that compares a pair."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netdistance.bounds.trust import trust_rows, with_shares
from netdistance.checkpoints import Checkpoint, open_checkpoint
from netdistance.checkpoints.adapted import adapted, open_beside
from netdistance.checkpoints.opening import local_path
from netdistance.distances.account import account, tensor_rows
from netdistance.distances.measure import Measured
from netdistance.distances.passes import measure_pairs
from netdistance.pairing.conversions import Conversions
from netdistance.pairing.facing import facing, suggestion
from netdistance.pairing.match import Pairing, pair_tensors, require_comparable
from netdistance.pairing.rename import rules_for_pair
from netdistance.progress import Progress
from netdistance.report.document import Report, Verdict
from netdistance.report.provenance import provenance
from netdistance.studies.compare_options import CompareOptions

if TYPE_CHECKING:
    from netdistance.checkpoints.opening import Source

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class OpenPair:
    """The reference a and the changed b under the names that they are compared by."""

    a: Checkpoint
    b: Checkpoint
    pairing: Pairing
    conversions: Conversions | None  # what was found, where it was looked for
    base: Checkpoint  # a without the adapter that b is said to hold: a itself where there is none
    paths: tuple[PathLike, PathLike]  # a folder is called by its name, whatever it holds

    def hint(self, report: Report) -> str:
        """The option that would pair more names, as a sentence; empty where there is none.

        Raises:
            CheckpointError: a file cannot be read.
        """
        changes = [row.metrics["relative_frobenius"] for row in report.tensors]
        rule = suggestion(self.a, self.b, self.pairing, changes)
        return f" {rule}." if rule else ""


@contextmanager
def open_pair(
    a: Source, b: Source, options: CompareOptions, *, adapter: PathLike | None = None
) -> Iterator[OpenPair]:
    """Both checkpoints, opened and paired; at the end neither has changed.

    With an `adapter`, a stands for a with it added.

    What makes one side face the other (names and layouts, an adapter on its base) is a view of a
    checkpoint, put on here.

    Raises:
        CheckpointError: a file is unreadable or invalid, or changed while it was read.
        NothingComparableError: the files are valid and share no tensor that can be compared.
        UsageError: a renaming cannot be read.
    """
    rules = rules_for_pair(options.strip_prefix, options.rename, options.only, options.skip)
    with ExitStack() as opened:
        base = opened.enter_context(open_checkpoint(a))
        file_b = opened.enter_context(open_beside(base, b))
        file_a = (
            base if adapter is None else opened.enter_context(adapted(base, local_path(adapter)))
        )
        left, right, found = facing(file_a, file_b, rules, conversions=options.conversions)
        pairing = pair_tensors(left.specs, right.specs, ties_a=left.ties, ties_b=right.ties)
        require_comparable(left, right, pairing)
        yield OpenPair(left, right, pairing, found, base, (_path(a, base), _path(b, right)))
        left.verify_unchanged()
        right.verify_unchanged()


def _path(source: Source, file: Checkpoint) -> PathLike:
    return source if isinstance(source, str | os.PathLike) else file.path


def measure_weights(
    pair: OpenPair, options: CompareOptions, progress: Progress
) -> dict[str, Measured]:
    """What was measured of every pair of tensors, by name.

    Raises:
        CheckpointError: a file ended early or cannot be read.
    """
    return measure_pairs(
        pair.a,
        pair.b,
        pair.pairing.pairs,
        all_metrics=options.all_metrics,
        spectral=options.spectral,
        threads=options.threads,
        progress=progress,
    )


def weights_report(
    study: str, pair: OpenPair, measured: Mapping[str, Measured], options: CompareOptions
) -> Report:
    """What the weights alone say; no verdict yet."""
    rows = tensor_rows(pair.pairing, measured, pair.conversions)
    bounds = trust_rows(rows, pair.pairing, spectral=options.spectral)
    return Report(
        study=study,
        provenance=provenance(options, pair.a, pair.b),
        verdict=Verdict(""),
        pairing=account(pair.pairing, measured, pair.conversions),
        tensors=with_shares(rows, bounds[0]),
        bounds=bounds,
    )
