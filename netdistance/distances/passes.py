"""The passes over both files: what is measured of every pair, and no more than was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from netdistance.checkpoints.base import Checkpoint
from netdistance.distances.measure import Measured, why_without_distance
from netdistance.distances.relative import scale_for_angle
from netdistance.distances.stream import stream_rounding, stream_sums
from netdistance.distances.structure import (
    MATRIX_METRICS,
    MOST_ELEMENTS,
    spectral_metrics,
    too_large,
)
from netdistance.linalg.sums import PairSums
from netdistance.pairing.match import TensorPair
from netdistance.progress import SILENT, Progress
from netdistance.quantities import Quantity, Skipped


def measure_pairs(
    a: Checkpoint,
    b: Checkpoint,
    pairs: tuple[TensorPair, ...],
    *,
    all_metrics: bool = False,
    spectral: bool = False,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> dict[str, Measured]:
    """What was measured of every pair, by name.

    One pass over both files for the sums, one over a for rounding, and with `spectral` one over
    both that holds two whole tensors at a time.

    Raises:
        CheckpointError: a file ended early or cannot be read.
    """
    sums = stream_sums(a, b, pairs, signs=all_metrics, threads=threads, progress=progress)
    sums |= _rescaled(a, b, pairs, sums, threads, progress)
    rounding = stream_rounding(a, pairs, sums, threads=threads, progress=progress)
    norms = _spectral(a, b, pairs, sums, progress) if spectral else {}
    return {
        pair.name: Measured(
            sums.get(pair.name),
            rounding.get(pair.name),
            all_metrics,
            norms.get(pair.name),
        )
        for pair in pairs
    }


def _rescaled(
    a: Checkpoint,
    b: Checkpoint,
    pairs: tuple[TensorPair, ...],
    sums: Mapping[str, PairSums],
    threads: int | None,
    progress: Progress,
) -> dict[str, PairSums]:
    """The sums of the few pairs whose angle needs a at b's size, with these beside them."""
    known = {
        pair.name: scale
        for pair in pairs
        if pair.name in sums
        and why_without_distance(pair, sums[pair.name]) is None
        and (scale := scale_for_angle(sums[pair.name])) is not None
    }
    few = tuple(pair for pair in pairs if pair.name in known)
    if not few:
        return {}
    beside = stream_sums(a, b, few, scales=known, threads=threads, progress=progress)
    return {name: replace(sums[name], rescaled=found) for name, found in beside.items()}


def _spectral(
    a: Checkpoint,
    b: Checkpoint,
    pairs: tuple[TensorPair, ...],
    sums: Mapping[str, PairSums],
    progress: Progress,
) -> dict[str, Mapping[str, Quantity]]:
    found: dict[str, Mapping[str, Quantity]] = {}
    with progress.task("spectral norms", sum(pair.a.elements for pair in pairs)) as advance:
        for pair in pairs:
            found[pair.name] = _spectral_of(a, b, pair, sums.get(pair.name))
            advance(pair.a.elements)
    return found


def _spectral_of(
    a: Checkpoint, b: Checkpoint, pair: TensorPair, sums: PairSums | None
) -> Mapping[str, Quantity]:
    reason = why_without_distance(pair, sums)
    if reason is None and pair.a.elements > MOST_ELEMENTS:
        reason = too_large(pair.a.elements)
    if reason is None:
        return spectral_metrics(a.read(pair.name), b.read(pair.name))
    return {metric.name: Skipped(reason) for metric in MATRIX_METRICS}
