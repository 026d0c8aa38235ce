"""Measured pairs as rows of the report, and the account of every name."""

from __future__ import annotations

from collections.abc import Mapping

from netdistance.distances.measure import is_identical, metrics_of, why_without_distance
from netdistance.linalg.rounding_sums import RoundingSums
from netdistance.linalg.sums import PairSums
from netdistance.pairing.layers import layer_of
from netdistance.pairing.match import Pairing
from netdistance.report.document import (
    NonFinite,
    PairingAccount,
    Reshaped,
    SkippedTensor,
    TensorRow,
)


def tensor_rows(
    pairing: Pairing, sums: Mapping[str, PairSums], rounding: Mapping[str, RoundingSums]
) -> tuple[TensorRow, ...]:
    """A row for every pair of one shape, in name order, with every default metric."""
    return tuple(
        TensorRow(
            name=pair.name,
            shape=pair.a.shape,
            encoding_a=pair.a.encoding,
            encoding_b=pair.b.encoding,
            layer=layer_of(pair.name),
            metrics=metrics_of(pair, sums.get(pair.name), rounding.get(pair.name)),
        )
        for pair in pairing.pairs
    )


def account(pairing: Pairing, sums: Mapping[str, PairSums]) -> PairingAccount:
    """What was compared, and what was not and why."""
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
