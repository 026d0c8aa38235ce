"""The scales and zero points of compressed-tensors: per tensor, output, group of inputs or block.

Source: quantization/lifecycle/forward_helpers.py of compressed-tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.encodings.base import Floats, Stored
from netdistance.checkpoints.encodings.packed import RefusedError, require_float
from netdistance.checkpoints.encodings.scheme import Schemes

_FP8_BLOCK = (128, 128)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which scale is of which weight: blocks of `height` x `width`, in a grid (bands, groups)."""

    shape: tuple[int, int]
    height: int
    width: int

    @property
    def grid(self) -> tuple[int, int]:
        """How many blocks there are down and across."""
        return -(-self.shape[0] // self.height), -(-self.shape[1] // self.width)

    @property
    def label(self) -> str:
        """What shares a scale."""
        down, across = self.grid
        if down == 1 and self.height >= self.shape[0] and across == 1:
            return "one scale"
        if self.height > 1:
            return f"a scale per {self.height} x {self.width}"
        return "a scale per output" if across == 1 else f"groups of {self.width}"

    def rows(self, stored: Stored, name: str, first: int, last: int) -> NDArray[Any]:
        """The values of `name` for rows first:last, as (last - first, groups)."""
        bands = slice(first // self.height, -(-last // self.height))
        if len(stored.specs[name].shape) == 2:
            own = stored.file.tile(name, bands, slice(0, self.grid[1]))
        else:
            blocks = stored.file.blocks(name, start=bands.start, stop=bands.stop)
            own = np.concatenate([block.copy() for block in blocks])[:, None]
        if self.height == 1:
            return own
        return own[np.arange(first, last) // self.height - bands.start]

    def scales(self, stored: Stored, name: str, first: int, last: int) -> Floats:
        """As `rows`, in float32."""
        return self.rows(stored, name, first, last).astype(np.float32)


def layout_of(stored: Stored, name: str, shape: tuple[int, int], schemes: Schemes) -> Layout:
    """How the scales `name` are shared by a weight of this shape.

    Raises:
        RefusedError: their shape fits none of the ways, or not what the configuration says.
    """
    require_float(stored, name)
    scales = stored.specs[name].shape
    if (scales in ((), (1,), (1, 1)) and shape[0] > 1) or scales == ():
        return Layout(shape, *shape)
    if scales in ((shape[0],), (shape[0], 1)):
        return Layout(shape, 1, shape[1])
    if len(scales) == 2 and scales[0] == shape[0] and scales[1]:
        return Layout(shape, 1, _group(shape[1], scales[1], schemes))
    for block in (*schemes.blocks, _FP8_BLOCK):
        layout = Layout(shape, min(block[0], shape[0]), min(block[1], shape[1]))
        if layout.grid == scales:
            return layout
    raise RefusedError(f"{name!r} has shape {scales}, which no way of sharing gives for {shape}")


def _group(inputs: int, groups: int, schemes: Schemes) -> int:
    said = schemes.sizes("group_size")
    fit = [size for size in sorted(said) if -(-inputs // size) == groups]
    if fit:
        return min(fit[0], inputs)
    if said:
        sizes = " or ".join(map(str, sorted(said)))
        raise RefusedError(
            f"the configuration says groups of {sizes}, and {inputs} inputs have {groups} scales"
        )
    if inputs % groups:
        raise RefusedError(f"{inputs} inputs are not {groups} groups of one size")
    return inputs // groups
