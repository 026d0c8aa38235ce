"""One pair of tensors to its metrics, whatever it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netdistance.distances.noise_floor import ROUNDING_METRICS, Rounding, rounding_multiples
from netdistance.distances.relative import SUM_METRICS, changed_fraction
from netdistance.distances.structure import MATRIX_METRICS
from netdistance.linalg.sums import PairSums
from netdistance.pairing.match import TensorPair
from netdistance.quantities import Quantity, Skipped

NEEDS_SPECTRAL = "needs --spectral"


@dataclass(frozen=True, slots=True)
class Measured:
    """What the passes over both files left behind of one pair.

    `sums` is None where the pair could not be read, `rounding` where rounding a was not measured.
    `all_metrics` asks for more than the default ones, `spectral` is None where it was not asked
    for.
    """

    sums: PairSums | None = None
    rounding: Rounding | None = None
    all_metrics: bool = False
    spectral: Mapping[str, Quantity] | None = None


def metrics_of(pair: TensorPair, measured: Measured) -> dict[str, Quantity]:
    """Every metric by name: a number, or skipped with the reason.

    Integers and booleans compare by equality: they have distance 0 where they are identical, and
    none where they differ. Metrics that were not asked for are left out, the spectral ones skipped.
    """
    sums = measured.sums
    wanted = [metric for metric in SUM_METRICS if metric.default or measured.all_metrics]
    reason = why_without_distance(pair, sums)
    if sums is not None and reason is None:
        metrics = {metric.name: metric.of(sums) for metric in wanted}
        metrics |= rounding_multiples(pair, sums, measured.rounding)
        return metrics | _spectral(measured, NEEDS_SPECTRAL)
    names = [m.name for m in wanted] + [m.name for m in ROUNDING_METRICS]
    metrics = dict.fromkeys(names, Skipped(str(reason)))
    if sums is not None:
        metrics["changed_fraction"] = changed_fraction(sums)
    return metrics | _spectral(measured, str(reason))


def _spectral(measured: Measured, otherwise: str) -> dict[str, Quantity]:
    if measured.spectral is not None:
        return dict(measured.spectral)
    return {metric.name: Skipped(otherwise) for metric in MATRIX_METRICS}


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
