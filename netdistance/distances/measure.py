"""One pair of tensors to its metrics, whatever it holds."""

from __future__ import annotations

from netdistance.distances.noise_floor import ROUNDING_METRICS, rounding_multiples
from netdistance.distances.relative import SUM_METRICS, changed_fraction
from netdistance.linalg.rounding_sums import RoundingSums
from netdistance.linalg.sums import PairSums
from netdistance.pairing.match import TensorPair
from netdistance.quantities import Quantity, Skipped


def metrics_of(
    pair: TensorPair, sums: PairSums | None, rounding: RoundingSums | None = None
) -> dict[str, Quantity]:
    """Every default metric by name: a number, or skipped with the reason.

    `sums` is None where the pair could not be read, `rounding` where rounding a was not measured.
    Integers and booleans compare by equality: they have distance 0 where they are identical, and
    none where they differ.
    """
    reason = why_without_distance(pair, sums)
    if sums is not None and reason is None:
        exact = {metric.name: metric.of(sums) for metric in SUM_METRICS}
        return {**exact, **rounding_multiples(pair, sums, rounding)}
    names = [m.name for m in SUM_METRICS] + [m.name for m in ROUNDING_METRICS]
    metrics: dict[str, Quantity] = dict.fromkeys(names, Skipped(str(reason)))
    if sums is not None:
        metrics["changed_fraction"] = changed_fraction(sums)
    return metrics


def is_identical(sums: PairSums | None) -> bool:
    """Whether every value is equal on both sides (minus zero equals zero; a NaN equals nothing)."""
    return sums is not None and sums.finite and sums.changed == 0


def why_without_distance(pair: TensorPair, sums: PairSums | None) -> str | None:
    """Why this pair has no distance, or None where it has one."""
    if sums is None:
        return pair.unreadable or "could not be read"
    if not sums.finite:
        return f"non-finite elements: {sums.non_finite_a} in a, {sums.non_finite_b} in b"
    if pair.a.dtype.kind in ("integer", "bool") and sums.changed:
        return f"{sums.changed} of {sums.elements} integers differ: integers compare by equality"
    return None
