"""The stated accuracy of norms and distances at 10^8 elements: 1e-12 relative of exact sums."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from netdistance.checkpoints.dtypes import BY_NAME
from netdistance.studies.compare import CompareOptions, compare
from tests.formats.written import entry, framed

ELEMENTS = 10**8
CHUNK = 10**6


def codes(encoding: str, seed: int) -> Iterator[NDArray[np.uint8]]:
    """The bytes of CHUNK Gaussian elements, over and over; the scale drifts by 10^6."""
    decimals = np.random.default_rng(seed).standard_normal(CHUNK)
    for index in range(ELEMENTS // CHUNK):
        wide = (decimals * 10.0 ** (index % 7 - 3)).astype(np.float32)
        if encoding == "F32":
            yield wide.view(np.uint8)
        elif encoding == "F16":
            yield wide.astype(np.float16).view(np.uint8)
        elif encoding == "BF16":
            yield np.ascontiguousarray(wide.view(np.uint16)[1::2]).view(np.uint8)
        else:  # every finite code of e4m3
            yield np.random.default_rng((seed, index)).integers(0, 127, CHUNK, np.uint8)


def exact(encoding: str, sides: tuple[int, ...]) -> float:
    """The norm of a side or of the difference of two, by `math.fsum`."""
    decode = BY_NAME[encoding].decode
    assert decode is not None
    squares = (
        np.square(np.subtract.reduce([decode(part).astype(np.float64) for part in parts])).tolist()
        for parts in zip(*(codes(encoding, side) for side in sides), strict=True)
    )
    return math.sqrt(math.fsum(math.fsum(chunk) for chunk in squares))


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["F32", "F16", "BF16", "F8_E4M3"])
def test_a_hundred_million_elements(tmp_path: Path, encoding: str) -> None:
    nbytes = ELEMENTS * BY_NAME[encoding].bits // 8
    for side in (0, 1):
        with (tmp_path / f"{side}").open("wb") as file:
            file.write(framed({"w": entry(encoding, [ELEMENTS // 100, 100], 0, nbytes)}))
            for part in codes(encoding, side):
                file.write(part.tobytes())
    report = compare(tmp_path / "0", tmp_path / "1", CompareOptions())
    (row,) = report.tensors
    norm, distance = exact(encoding, (0,)), exact(encoding, (1, 0))
    found = row.metrics["relative_frobenius"].value
    assert abs(found / (distance / norm) - 1.0) < 1e-12
    cosine = (norm**2 + exact(encoding, (1,)) ** 2 - distance**2) / (
        2.0 * norm * exact(encoding, (1,))
    )
    assert abs(row.metrics["angle_rad"].value - math.acos(cosine)) < 1e-8
