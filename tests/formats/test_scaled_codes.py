"""Floats of 8 bits, decoded and scaled in one: what torch and a product say, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from netdistance.checkpoints import open_checkpoint
from netdistance.checkpoints.dtypes import DTYPES
from tests.formats.test_safetensors_file import TORCH_FLOATS, same_values
from tests.formats.written import raw_tensors

EIGHT_BITS = tuple(dtype.name for dtype in DTYPES if dtype.scaled)
# codes as of weights, of which few are subnormal, and every code there is behind them
COMMON = np.tile(np.r_[0x20:0x70, 0xA0:0xF0].astype(np.uint8), 32).reshape(-1, 16)
EVERY = np.concatenate([COMMON, np.arange(256, dtype=np.uint8).reshape(-1, 16)])
FACTORS = {
    "one for each column": np.linspace(0.1, 3.0, 16, dtype=np.float32)[None],
    "one for each row": np.linspace(-3.0, 3.0, len(EVERY), dtype=np.float32)[:, None],
    "one for each number": np.geomspace(1e-30, 1e30, EVERY.size, dtype=np.float32).reshape(-1, 16),
    "subnormal, huge, infinite": np.array([[1e-42, 3e38, np.inf, np.nan] * 4], dtype=np.float32),
}


@pytest.mark.parametrize("encoding", EIGHT_BITS)
@pytest.mark.parametrize("factors", FACTORS.values(), ids=list(FACTORS))
@pytest.mark.parametrize("codes", [COMMON, EVERY, EVERY[::-1]], ids=["common", "every", "odd ones"])
def test_scaled_codes_are_numbers_times_factors(
    tmp_path: Path, encoding: str, factors: NDArray[np.float32], codes: NDArray[np.uint8]
) -> None:
    (tmp_path / "f").write_bytes(raw_tensors(x=(encoding, list(codes.shape), codes.tobytes())))
    values = torch.from_numpy(codes.copy()).view(TORCH_FLOATS[encoding]).float().numpy()
    factors = factors if len(factors) == 1 else factors[: len(codes)]
    rows, columns = slice(1, len(codes)), slice(2, 13)
    own = factors[:, 2:13] if factors.shape[1] > 1 else factors
    own = own[1:] if len(own) > 1 else own
    with open_checkpoint(tmp_path / "f") as checkpoint, np.errstate(all="ignore"):
        assert same_values(checkpoint.read("x"), values)
        found = checkpoint.scaled_tile("x", rows, columns, own)
        assert same_values(found, values[rows, columns] * own)
