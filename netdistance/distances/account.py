"""Measured pairs as rows of the report, and the account of every name."""

from __future__ import annotations

from collections.abc import Mapping

from netdistance.distances.measure import (
    Measured,
    is_identical,
    metrics_of,
    why_without_distance,
)
from netdistance.pairing.conversions import Conversions, Match
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
    pairing: Pairing,
    measured: Mapping[str, Measured],
    conversions: Conversions | None = None,
) -> tuple[TensorRow, ...]:
    """A row for every pair of one shape, in name order, with every metric that was asked for.

    With `conversions`, how b's tensor stands to a's.
    """
    exact = Match("exact")
    matches = {} if conversions is None else conversions.matches
    told = {p.name: matches.get(p.name, exact) for p in pairing.pairs if conversions is not None}
    return tuple(
        TensorRow(
            name=pair.name,
            shape=pair.a.shape,
            encoding_a=pair.a.encoding,
            encoding_b=pair.b.encoding,
            layer=layer_of(pair.name),
            metrics=metrics_of(pair, measured[pair.name]),
            tied_to=pair.tied_to,
            decoding_a=pair.a.decoding,
            decoding_b=pair.b.decoding,
            relation=told[pair.name].relation if pair.name in told else None,
            transform=told[pair.name].transform if pair.name in told else None,
        )
        for pair in pairing.pairs
    )


def account(
    pairing: Pairing,
    measured: Mapping[str, Measured],
    conversions: Conversions | None = None,
) -> PairingAccount:
    """What was compared, and what was not and why; with `conversions`, what they left open."""
    sums = {name: found.sums for name, found in measured.items() if found.sums is not None}
    readable = [pair for pair in pairing.pairs if pair.name in sums]
    reasons = [(pair, why_without_distance(pair, sums.get(pair.name))) for pair in pairing.pairs]
    return PairingAccount(
        compared=len(readable),
        identical=sum(is_identical(sums[pair.name]) for pair in readable),
        only_a=pairing.only_a,
        only_b=pairing.only_b,
        reshaped=tuple(Reshaped(p.name, p.a.shape, p.b.shape) for p in pairing.reshaped),
        skipped=tuple(SkippedTensor(p.name, reason) for p, reason in reasons if reason),
        non_finite=tuple(
            NonFinite(p.name, sums[p.name].non_finite_a, sums[p.name].non_finite_b)
            for p in readable
            if not sums[p.name].finite
        ),
        ambiguous=None if conversions is None else conversions.ambiguous,
    )
