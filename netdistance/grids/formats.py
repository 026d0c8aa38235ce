"""The formats that the whole program speaks of: the code of each, and what shares a scale."""

from __future__ import annotations

from netdistance.grids.floats import E2M1, E4M3, Microscaled, Scaled
from netdistance.grids.integers import Symmetric
from netdistance.grids.quantiser import Cut, Quantiser
from netdistance.grids.tables import FP4_TABLE, NF4_TABLE

# elements along a row, as most files of 4-bit integers have them
INT4_GROUP = 128
# the codes that the largest element gets
INT8_TOP, INT4_TOP = Symmetric(8).top, Symmetric(4).top
# elements along the flattened tensor, as bitsandbytes cuts it
BLOCK = 64

FP8 = Quantiser(Scaled(E4M3), Cut(whole=True))
MXFP4 = Quantiser(Microscaled(E2M1), Cut(32))
NF4 = Quantiser(NF4_TABLE, Cut(BLOCK, flat=True))
FP4 = Quantiser(FP4_TABLE, Cut(BLOCK, flat=True))


def integers(bits: int, group: int | None = None) -> Quantiser:
    """Symmetric codes of so many bits with a scale for each group along a row, or for each row."""
    return Quantiser(Symmetric(bits), Cut(group))
