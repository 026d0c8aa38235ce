"""A checkpoint whose tensors are those of another, by conversions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import BLOCK_ELEMENTS, Checkpoint, TensorSpec
from netdistance.checkpoints.row_blocks import row_blocks
from netdistance.checkpoints.ties import Place, place_of
from netdistance.pairing.conversions.base import Reading
from netdistance.pairing.conversions.matrices import rows_of

# made at a time: 4 MiB of float32, of which a permutation or a transposition holds two
_TILE_ELEMENTS = 1 << 20


@dataclass(frozen=True, slots=True)
class Offered:
    """A tensor under a's name: one of b as it lies, or one that is read from several."""

    shape: tuple[int, ...]
    reading: Reading


class ConvertedCheckpoint(Checkpoint):
    """b with a's names: `plain` are tensors of b by their new names, `offered` are made.

    What neither mentions is left out.
    """

    def __init__(
        self, inner: Checkpoint, plain: Mapping[str, str], offered: Mapping[str, Offered]
    ) -> None:
        self._inner, self._plain, self._offered = inner, plain, offered
        self.path, self.format, self.nbytes = inner.path, inner.format, inner.nbytes
        self.notes = inner.notes
        self.specs = {
            **{new: replace(inner.specs[old], name=new) for new, old in plain.items()},
            **{name: _spec(name, made) for name, made in offered.items()},
        }
        new_names: dict[object, str] = {}
        for new, old in plain.items():
            new_names.setdefault(old, new)
        # a tensor of b that has several names here is one tensor
        doubled = {old for old, uses in Counter(plain.values()).items() if uses > 1}
        self.ties = {
            new: _place(place_of(inner.ties, old), new_names)
            for new, old in plain.items()
            if old in inner.ties or old in doubled
        }

    def blocks(
        self, name: str, *, start: int = 0, stop: int | None = None, size: int = BLOCK_ELEMENTS
    ) -> Iterator[NDArray[Any]]:
        """As Checkpoint.blocks."""
        if name in self._plain:
            return self._inner.blocks(self._plain[name], start=start, stop=stop, size=size)
        matrix, elements = self._offered[name].reading.matrix, self.specs[name].elements
        rows = rows_of(matrix, np.float64 if self.specs[name].values == "F64" else np.float32)
        stop = elements if stop is None else min(stop, elements)
        columns = matrix.shape[1]
        return row_blocks(rows, columns, start, stop, size, tile_elements=_TILE_ELEMENTS)

    def verify_unchanged(self) -> None:
        """As Checkpoint.verify_unchanged."""
        self._inner.verify_unchanged()

    def close(self) -> None:
        """Close the checkpoint below."""
        self._inner.close()


def _spec(name: str, made: Offered) -> TensorSpec:
    specs = made.reading.matrix.specs
    encodings = sorted({spec.encoding for spec in specs})
    decodings = {spec.decoding for spec in specs}
    values = {spec.values or spec.encoding for spec in specs}
    spec = TensorSpec(
        name,
        made.shape,
        " and ".join(encodings),
        0,
        decoding=decodings.pop() if len(decodings) == 1 else None,
        values="F64" if "F64" in values else "F32",
    )
    stored = sum(part.elements for part in specs)
    nbytes = sum(part.nbytes for part in specs) * spec.elements // max(1, stored)
    return replace(spec, nbytes=nbytes)


def _place(place: Place, new_names: Mapping[object, str]) -> Place:
    # a holder that is left out holds still what is in the same place of it
    return replace(place, holder=new_names.get(place.holder, ("left out", place.holder)))
