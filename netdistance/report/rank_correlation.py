"""Whether the layers that moved most also did most: the rank correlation of cheap and measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from netdistance.quantities import Exact, Skipped, point
from netdistance.report.document import AttributionRow, TensorRow

_FEWEST = 3


def spearman(first: Sequence[float], second: Sequence[float]) -> Exact | Skipped:
    """The correlation of the ranks, equal numbers sharing the mean of theirs.

    Spearman 1904, with Pearson's formula on the ranks, which is right where there are ties.

    >>> spearman([1.0, 2.0, 3.0], [10.0, 30.0, 20.0])
    Exact(value=0.5)
    """
    ranks = [_ranks(values) for values in (first, second)]
    middle = (len(first) + 1) / 2.0
    x, y = ([rank - middle for rank in of] for of in ranks)
    norm = math.fsum(v * v for v in x) * math.fsum(v * v for v in y)
    if norm == 0.0:
        return Skipped("all layers are equal in one of the two: there is no order")
    return Exact(math.fsum(v * w for v, w in zip(x, y, strict=True)) / math.sqrt(norm))


def _ranks(values: Sequence[float]) -> list[float]:
    ranks, below = [0.0] * len(values), 0
    for _, equal in groupby(sorted(range(len(values)), key=values.__getitem__), values.__getitem__):
        places = list(equal)
        for place in places:
            ranks[place] = below + (len(places) + 1) / 2.0
        below += len(places)
    return ranks


def ranked_layers(
    tensors: Sequence[TensorRow], attribution: Sequence[AttributionRow]
) -> list[tuple[float, float]]:
    """(share of deep relative trust, deviation by swap_in) of the layers that have both."""
    shares: dict[str, float] = {}
    for row in tensors:
        share = point(row.metrics["trust_share"]) if "trust_share" in row.metrics else None
        shares[row.layer] = shares.get(row.layer, 0.0) + (share or 0.0)
    pairs = (
        (shares.get(row.layer, 0.0), point(row.value))
        for row in attribution
        if row.scheme == "swap_in"
    )
    return [(share, value) for share, value in pairs if share and value is not None]


def rank_correlation(
    tensors: Sequence[TensorRow], attribution: Sequence[AttributionRow]
) -> Exact | Skipped:
    """Spearman's correlation of the share of deep relative trust with what swap_in measured."""
    pairs = ranked_layers(tensors, attribution)
    if len(pairs) < _FEWEST:
        return Skipped(f"needs {_FEWEST} layers with weights that moved, here {len(pairs)}")
    return spearman([share for share, _ in pairs], [value for _, value in pairs])
