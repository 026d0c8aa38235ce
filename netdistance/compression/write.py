"""A compressed checkpoint as a safetensors file: the header first, then tensor after tensor."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from netdistance.checkpoints.base import Checkpoint, TensorSpec
from netdistance.compression.base import Scheme
from netdistance.compression.containers import (
    STORED_BITS,
    Array,
    Container,
    Slot,
    as_stored,
    container_of,
    slot,
)
from netdistance.compression.frontier import AS_IT_IS, Assignment
from netdistance.compression.layers import Layer
from netdistance.compression.simulated import can_store
from netdistance.errors import CheckpointError, OutputError, UsageError
from netdistance.report.files import write_atomically, written_atomically


@dataclass(frozen=True, slots=True)
class _Plan:
    """One tensor of the checkpoint, and the slots that it becomes."""

    spec: TensorSpec
    slots: tuple[Slot, ...]
    scheme: Scheme | None = None  # None: it stays as it is
    container: Container | None = None


def write_compressed(
    checkpoint: Checkpoint,
    layers: tuple[Layer, ...],
    schemes: tuple[Scheme, ...],
    assignment: Assignment,
    target: str | os.PathLike[str],
) -> dict[str, Any]:
    """Write every layer as the assignment says, and everything else as it is; what was written.

    Memory holds one tensor at a time. A config.json that names the layouts is written beside it
    where every compressed tensor has one of compressed-tensors', and none stands there.

    Raises:
        CheckpointError: a tensor cannot be read, or two would be called the same.
        OutputError: the file cannot be written; what stood there before is intact.
        UsageError: the target is the checkpoint itself.
    """
    path = Path(target)
    if path.exists() and checkpoint.path.exists() and path.samefile(checkpoint.path):
        raise UsageError(f"--write {path}: is the checkpoint itself; name another file")
    plans = _plans(checkpoint, layers, schemes, assignment)
    _require_apart(checkpoint, plans)
    told = {name: scheme for name, scheme in assignment.items() if scheme != AS_IT_IS}
    metadata = {"format": "pt", "netdistance": json.dumps(told, sort_keys=True)}
    with written_atomically(path) as file:
        file.write(_header(plans, metadata))
        for plan in plans:
            for content in _contents(checkpoint, plan):
                file.write(content.reshape(-1).view(np.uint8).data)
    containers = Counter(plan.container.name for plan in plans if plan.container is not None)
    return {
        "written": os.fspath(path),
        "written_bytes": path.stat().st_size,
        "written_as": dict(containers),
        "written_config": _write_config(path.parent / "config.json", plans),
    }


def _plans(
    checkpoint: Checkpoint,
    layers: tuple[Layer, ...],
    schemes: tuple[Scheme, ...],
    assignment: Assignment,
) -> list[_Plan]:
    named = {scheme.name: scheme for scheme in schemes}
    chosen = {
        name: named.get(assignment[layer.name])
        for layer in layers
        for weight in layer.weights
        for name in weight.names
    }
    return [_plan(checkpoint, spec, chosen.get(name)) for name, spec in checkpoint.specs.items()]


def _plan(checkpoint: Checkpoint, spec: TensorSpec, scheme: Scheme | None) -> _Plan:
    if spec.unreadable is not None:
        what = f"cannot be written: {spec.unreadable}; leave it out with --skip"
        raise CheckpointError(checkpoint.path, what, tensor=spec.name)
    if scheme is None:
        dtype = _dtype_of(spec)
        return _Plan(spec, (slot(spec.name, dtype, spec.shape, STORED_BITS[dtype]),))
    container = container_of(scheme, spec.name, spec.shape, spec.values or spec.encoding)
    return _Plan(spec, container.slots(spec.name, spec.shape), scheme, container)


def _dtype_of(spec: TensorSpec) -> str:
    """What the numbers of a tensor that stays are written in: their own type, or float32."""
    return spec.dtype.name if spec.dtype.name in STORED_BITS else "F32"


def _require_apart(checkpoint: Checkpoint, plans: list[_Plan]) -> None:
    names = Counter(made.name for plan in plans for made in plan.slots)
    twice = next((name for name, number in names.items() if number > 1), None)
    if twice is not None:
        what = "would be written twice: a compressed weight needs this name for a part of it"
        raise CheckpointError(checkpoint.path, what, tensor=twice)


def _header(plans: list[_Plan], metadata: dict[str, str]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    for each in (made for plan in plans for made in plan.slots):
        entries[each.name] = {
            "dtype": each.dtype,
            "shape": list(each.shape),
            "data_offsets": [offset, offset + each.nbytes],
        }
        offset += each.nbytes
    text = json.dumps(entries, separators=(",", ":")).encode()
    # the data begin at a multiple of 8, as the reference implementation writes them
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _contents(checkpoint: Checkpoint, plan: _Plan) -> Iterator[Array]:
    name = plan.spec.name
    if plan.scheme is None or plan.container is None:
        dtype = _dtype_of(plan.spec)
        for block in checkpoint.blocks(name):
            yield as_stored(block, dtype)
        return
    values = checkpoint.read(name)
    if not can_store(values):
        raise CheckpointError(checkpoint.path, "is not finite, and no scheme holds it", tensor=name)
    parts = plan.scheme.encode(values.astype(np.float32, copy=False))
    yield from plan.container.arrays(parts, name, plan.spec.shape)


def _write_config(path: Path, plans: list[_Plan]) -> str:
    """Write what compressed-tensors calls the layouts; what became of it comes back."""
    packed = [plan for plan in plans if plan.container is not None]
    if path.exists():
        return f"{path.name} stands there already and was left alone"
    formats = {plan.container.config for plan in packed if plan.container is not None}
    if not packed or None in formats:
        return "none: not every compressed tensor has a layout of compressed-tensors"
    from netdistance.compression.config import quantization_config

    weights = {plan.spec.name: (plan.scheme, plan.container) for plan in packed}
    content = json.dumps({"quantization_config": quantization_config(weights)}, indent=2)
    try:
        write_atomically(path, content.encode() + b"\n")
    except OutputError:
        return f"{path.name} could not be written"
    return f"{path.name} names the layouts"
