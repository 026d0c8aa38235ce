"""Did an adapter land: is the change that it asks for in the merged weights, and how exactly?

With d = merged - base and the adapter's change e, share = <d, e> / |e|^2 says how much of the
change is there, and residual = |d - e| / |e| what is there beside it. A merge is stored in a type
that rounds: what rounding base + e to that type leaves beside e is computed, not modelled, for a
small change in bfloat16 loses much of itself (huggingface/peft#1388).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.adapted import Target, rows_of, targets_of
from netdistance.checkpoints.adapter import open_adapter
from netdistance.checkpoints.base import Checkpoint, TensorSpec
from netdistance.grids.floats import BF16, FP16, FP32, Number, rounded
from netdistance.progress import SILENT, Progress
from netdistance.quantities import Exact, Quantity, Skipped
from netdistance.report.audit_rows import AdapterRow, Landing

# of float64 at a time: 2 MiB
_BAND = 1 << 18
# below, nothing of the change is there; random agreement of n numbers is 1 / sqrt(n)
_NOTHING = 0.05
# how far residual and share may be from those of rounding: a merge rounds in another order
_SLACK, _SHARE_SLACK = 1.2, 0.05

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Type:
    """A type that merged weights are stored in; `unit` is half the step at 1."""

    name: str
    unit: float
    number: Number


# from the finest to the coarsest: a merge may have been computed in a coarser type than it is in
_TYPES = (
    _Type("fp32", 2.0**-22, FP32),  # two bits more: the product is in float32 too
    _Type("fp16", 2.0**-11, FP16),
    _Type("bf16", 2.0**-8, BF16),
)
_STORED = {"F64": 0, "F32": 0, "F16": 1, "BF16": 2}


@dataclass(slots=True)
class _Sums:
    """Sums over one tensor: of e^2, d e, (d - e)^2, and of rounding for each type."""

    change: list[float]
    product: list[float]
    beside: list[float]
    rounding: dict[str, list[float]]
    kept: dict[str, list[float]]


def adapter_rows(
    base: Checkpoint, merged: Checkpoint, adapter_folder: Path, *, progress: Progress = SILENT
) -> tuple[AdapterRow, ...]:
    """For each tensor that the adapter changes, whether its change is in the merged weights.

    A row's layer is the module, or the tensor where that is no weight. The verdict is
    "not_at_all" where a share of less than 5% is there, "landed" where rounding to `dtype` explains
    the rest (the finest type that does; the merged one's own where none does), else "partially".

    Raises:
        CheckpointError: a file cannot be read, or the adapter is not plain LoRA or fits no tensor.
    """
    with open_adapter(adapter_folder) as adapter:
        targets = targets_of(base, adapter)
        types = {spec.encoding for spec in adapter.file.specs.values()}
        coarsest = max((_STORED.get(name, 0) for name in types), default=0)
        rows = []
        with progress.task("looking for the adapter", len(targets)) as advance:
            for target in targets:
                rows.append(_row(base, merged, target, _TYPES[coarsest].unit))
                advance(1)
        adapter.file.verify_unchanged()
    return tuple(rows)


def _row(base: Checkpoint, merged: Checkpoint, target: Target, unit: float) -> AdapterRow:
    """`unit` is of the type that the adapter is stored in: its change may be rounded to it."""
    layer = target.name.removesuffix(".weight")
    spec = merged.specs.get(target.name)
    why = _why_not(base, spec, target)
    if why is not None or spec is None:
        none = Skipped(str(why))
        return AdapterRow(
            layer, none, none, none, "" if spec is None else spec.encoding, "not_compared"
        )
    sums = _sums(base, merged, target, _TYPES[_STORED.get(spec.encoding, 0) :])
    change, beside = math.fsum(sums.change), math.fsum(sums.beside)
    if change == 0.0 or not math.isfinite(change + beside):
        none = Skipped("the adapter does not change it" if change == 0.0 else "non-finite elements")
        return AdapterRow(layer, none, none, none, spec.encoding, "not_compared")
    share, residual = math.fsum(sums.product) / change, math.sqrt(beside / change)
    if spec.encoding not in _STORED:
        rounding: Quantity = Skipped(f"what storing it as {spec.encoding} loses is not known here")
        verdict: Landing = "not_at_all" if abs(share) < _NOTHING else "not_compared"
        return AdapterRow(layer, Exact(share), Exact(residual), rounding, spec.encoding, verdict)
    name, lost, explains = _explained(sums, change, share, residual, unit, target.spec.elements)
    verdict = "landed" if explains else "partially"
    if abs(share) < _NOTHING:
        verdict = "not_at_all"
    rounding = Exact(lost) if math.isfinite(lost) else Skipped(f"beyond the range of {name}")
    return AdapterRow(layer, Exact(share), Exact(residual), rounding, name, verdict)


def _why_not(base: Checkpoint, spec: TensorSpec | None, target: Target) -> str | None:
    """Why a target is not compared."""
    own = base.specs.get(target.name)
    if target.unreadable is not None:
        return target.unreadable
    if own is None:
        return "the base does not have it: there is no change to look for"
    if spec is None:
        return "the merged weights do not have it"
    if own.unreadable or spec.unreadable:
        return own.unreadable or spec.unreadable
    if not own.shape == spec.shape == target.spec.shape:
        return f"shapes differ: {own.shape}, merged {spec.shape}, adapted {target.spec.shape}"
    if "float" not in {own.dtype.kind} & {spec.dtype.kind} & {target.spec.dtype.kind}:
        return "no floating point"
    return None


def _sums(base: Checkpoint, merged: Checkpoint, target: Target, types: tuple[_Type, ...]) -> _Sums:
    sums = _Sums([], [], [], {t.name: [] for t in types}, {t.name: [] for t in types})
    band = max(1, _BAND // target.columns)
    for first in range(0, target.rows, band):
        span = (first, min(first + band, target.rows))
        with np.errstate(all="ignore"):  # what is not finite shows in the sums
            before = rows_of(base, target.name, *span, target.columns)
            wanted = target.values(*span)
            change = wanted - before if target.change is None else target.change.rows(*span)
            if target.source is not base:  # stored whole, and perhaps changed on top
                change = wanted - before
            moved = rows_of(merged, target.name, *span, target.columns) - before
            sums.change.append(float(np.sum(change * change)))
            sums.product.append(float(np.sum(moved * change)))
            sums.beside.append(float(np.sum((moved - change) ** 2)))
            for kind in types:
                stored = rounded(kind.number, wanted)
                sums.rounding[kind.name].append(float(np.sum((stored - wanted) ** 2)))
                sums.kept[kind.name].append(float(np.sum((stored - before) * change)))
    return sums


def _explained(
    sums: _Sums, change: float, share: float, residual: float, unit: float, elements: int
) -> tuple[str, float, bool]:
    """The type whose rounding explains the residual, what it loses, and whether any does."""
    found: list[tuple[str, float]] = []
    for kind in _TYPES:
        if kind.name not in sums.rounding:
            continue
        lost = math.sqrt(math.fsum(sums.rounding[kind.name]) / change)
        kept = math.fsum(sums.kept[kind.name]) / change
        slack = max(unit, kind.unit)
        by_chance = _SHARE_SLACK * min(1.0, lost) + 3.0 * lost / math.sqrt(elements) + slack
        found.append((kind.name, lost))
        if residual <= _SLACK * lost + slack and abs(share - kept) <= by_chance:
            return kind.name, lost, True
    return *found[0], False
