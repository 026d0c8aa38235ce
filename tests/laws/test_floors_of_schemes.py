"""The floor of a container is what its encoder does: decode(encode(a)), for every scheme."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from netdistance.checkpoints import open_checkpoint
from netdistance.compression.base import Scheme
from netdistance.compression.layers import layers_to_compress
from netdistance.compression.simulated import compressed
from netdistance.compression.write import write_compressed
from netdistance.distances import containers
from netdistance.distances.candidate_grids import candidate_grids
from netdistance.distances.container_floor import floor_facts
from netdistance.grids.integers import Affine, SignedLargest
from netdistance.grids.quantiser import Cut
from netdistance.grids.tables import NF4_TABLE, Table
from netdistance.pairing.match import pair_tensors
from tests.laws.test_schemes import ROUNDING, weights

# ragged last groups, a row of zeros, one row, a convolution, several tiles of a floor
SHAPES = [(24, 256), (12, 130), (1, 65), (6, 4, 3, 3), (520, 520)]


def apart(scheme: Scheme, shape: tuple[int, ...], folder: Path) -> int:
    """How many numbers of a written weight are not what rounding to the audit's grid gives.

    The grid is that of a known container or plain type, else the first that the numbers are seen to
    lie on; the sums of the floor, which is taken tile by tile, have to be those of the change.
    """
    weight = weights(shape, 0.05)
    weight[1:2] = 0.0
    stored = compressed(weight, scheme)
    save_file({"l.weight": weight}, folder / "a.safetensors")
    with open_checkpoint(folder / "a.safetensors") as a:
        layers = layers_to_compress(a)
        write_compressed(a, layers, (scheme,), {"l": scheme.name}, folder / "b.safetensors")
        with open_checkpoint(folder / "b.safetensors") as b:
            pair = pair_tensors(a.specs, b.specs).pairs[0]
            is_named = pair.b.values is not None or scheme.name in ("bf16", "fp16")
            tried = candidate_grids(a, b, pair, float(np.abs(weight).max()))
            grid = next((grid for grid, exact in tried if exact or is_named), None)
            if grid is None:
                return weight.size
            rows = weight.reshape(len(weight), -1)
            found = grid.rounded(rows.astype(np.float64)).astype(np.float64)
            facts = floor_facts(a, b, pair, grid)
    differing = int(np.count_nonzero(found != stored.reshape(rows.shape)))
    return max(differing, facts.distance != facts.floor)


@pytest.mark.parametrize("scheme", ROUNDING, ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_floor_is_the_encoder(scheme: Scheme, shape: tuple[int, ...], tmp_path: Path) -> None:
    assert apart(scheme, shape, tmp_path) == 0


PLANTED = {
    "nf4": ("NF4_TABLE", Table((*NF4_TABLE.entries[:9], 0.17, *NF4_TABLE.entries[10:]))),
    "fp4": ("FP4_TABLE", NF4_TABLE),
    "int8": ("Symmetric", SignedLargest),
    "int4-g128": ("Symmetric", lambda bits: Affine(bits, with_zero=True)),
    "int4-g32": ("_cut", lambda text: Cut(64)),
    "fp8": ("E4M3", containers.E5M2),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_other_encoder_is_found(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scheme,) = (scheme for scheme in ROUNDING if scheme.name == name)
    monkeypatch.setattr(containers, *PLANTED[name])
    assert apart(scheme, (24, 256), tmp_path) > 0
