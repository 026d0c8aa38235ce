"""A base with a LoRA adapter added to it: the model that runs, without merging any file."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netdistance.checkpoints.adapter import Adapter, open_adapter
from netdistance.checkpoints.base import Checkpoint, TensorSpec
from netdistance.checkpoints.decoded import Decoded
from netdistance.checkpoints.encodings.base import Encoded, Floats
from netdistance.checkpoints.low_rank import Doubles, LowRank
from netdistance.checkpoints.opening import is_adapter_alone, local_path, open_checkpoint

if TYPE_CHECKING:
    from netdistance.checkpoints.opening import Source

# of float64 at a time: 2 MiB
_BAND = 1 << 18


def open_beside(base: Checkpoint, source: Source) -> Checkpoint:
    """A checkpoint, or for the folder of an adapter the base with it added.

    Raises:
        CheckpointError: as open_checkpoint and as `adapted`.
    """
    if isinstance(source, str | os.PathLike):
        source = local_path(source)
        if is_adapter_alone(source):
            return adapted(base, source)
    return open_checkpoint(source)


def adapted(base: Checkpoint, folder: Path) -> Checkpoint:
    """The base with the adapter in a folder added: base + scale x B A for every target.

    Sums are in float64 and given in float32. What the adapter stores whole stands in place of the
    base's own; what does not fit the base is a tensor that says why it cannot be read. Closing it
    closes the adapter and leaves the base open.

    Raises:
        CheckpointError: the adapter cannot be read, is not plain LoRA, or fits no tensor.
    """
    adapter = open_adapter(folder)
    try:
        return _Adapted(base, adapter)
    except BaseException:
        adapter.file.close()
        raise


@dataclass(frozen=True, slots=True)
class Target:
    """One tensor that an adapter changes: where its numbers are, and what is added to them.

    `unreadable` says why it has no numbers, where it has none.
    """

    name: str
    source: Checkpoint
    spec: TensorSpec  # in the source, under the source's name
    change: LowRank | None
    unreadable: str | None

    @property
    def columns(self) -> int:
        """How many numbers a row has."""
        return max(1, self.spec.elements // max(1, self.spec.shape[0])) if self.spec.shape else 1

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.spec.elements // self.columns

    def values(self, first: int, last: int) -> Doubles:
        """The rows first:last once changed, in float64."""
        found = rows_of(self.source, self.spec.name, first, last, self.columns)
        if self.change is not None:
            found += self.change.rows(first, last)
        return found

    def as_encoded(self, in_base: bool) -> Encoded:
        """As a tensor of the view."""
        return Encoded(
            self._spec, (self.name,) if in_base else (), None if self.unreadable else self._rows
        )

    @property
    def _spec(self) -> TensorSpec:
        spec = replace(self.spec, name=self.name, unreadable=self.unreadable)
        if self.change is None or self.unreadable is not None:
            return spec
        inner = f"({spec.decoding})" if spec.decoding else "base"
        decoding = f"{inner} + {self.change.scale:g} x B A, in float64"
        label = f"{spec.encoding} + LoRA rank {self.change.rank}"
        return replace(spec, encoding=label, decoding=decoding, values="F32")

    def _rows(self, first: int, last: int) -> Floats:
        tile: Floats = np.empty((last - first, self.columns), dtype=np.float32)
        with np.errstate(all="ignore"):  # the report counts what is not finite
            for at in range(first, last, band := max(1, _BAND // self.columns)):
                stop = min(at + band, last)
                tile[at - first : stop - first] = self.values(at, stop)
        return tile


def targets_of(base: Checkpoint, adapter: Adapter) -> list[Target]:
    """Every tensor that the adapter changes, under its name in the base.

    Raises:
        CheckpointError: the base has none of them.
    """
    names = adapter.fitted(base.specs)
    return [_target(base, adapter, target, name) for target, name in names.items()]


def _target(base: Checkpoint, adapter: Adapter, target: str, name: str) -> Target:
    source, spec = base, base.specs.get(name)
    if target in adapter.replaced:
        source, spec = adapter.file, adapter.file.specs[adapter.replaced[target]]
    if spec is None:
        any_part = adapter.file.specs[next(iter(adapter.pairs[target].values()))]
        missing = f"the adapter changes it, and the base has no {name!r}"
        return Target(name, base, any_part, None, missing)
    change = adapter.change(target, spec.shape)
    why: str | None = change if isinstance(change, str) else spec.unreadable
    if why is None and change is not None and spec.dtype.kind != "float":
        why = f"the adapter changes it, and the base has it as {spec.encoding}"
    return Target(name, source, spec, None if isinstance(change, str) else change, why)


def rows_of(file: Checkpoint, name: str, first: int, last: int, columns: int) -> Doubles:
    """Rows first:last of a tensor, (last - first, columns), as float64."""
    found = np.empty(((last - first) * columns,))
    at = 0
    for block in file.blocks(name, start=first * columns, stop=last * columns):
        found[at : at + block.size] = block
        at += block.size
    return found.reshape(last - first, columns)


class _Adapted(Decoded):
    def __init__(self, base: Checkpoint, adapter: Adapter) -> None:
        targets = targets_of(base, adapter)
        told = f"{len(targets):,} tensors of {base.path.name} are changed by it"
        found = {t.name: t.as_encoded(t.name in base.specs) for t in targets}
        super().__init__(base, found, (*adapter.file.notes, told))
        self._adapter = adapter
        self.path, self.format = adapter.folder, f"LoRA adapter on {base.format}"
        self.nbytes = base.nbytes + adapter.file.nbytes

    def verify_unchanged(self) -> None:
        """As Checkpoint.verify_unchanged, of the base and of the adapter."""
        self._inner.verify_unchanged()
        self._adapter.file.verify_unchanged()

    def close(self) -> None:
        """Release the adapter; the base is another's."""
        self._adapter.file.close()
