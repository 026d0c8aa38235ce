"""How loose certificates are on trained networks: the table of the docs, in orders of magnitude."""

from __future__ import annotations

import pytest

from benchmarks.tightness import certified_over_worst, estimate_over_measured, trained

# certified over worst found at 1e-5 and 1e-2: the largest that R2 and R4 may be
LARGEST = {3: ((2.5, 1.8), (2.5, 2.5)), 6: ((20.0, 6.0), (20.0, 20.0)),
           16: ((1e6, 1e5), (1e6, 1e6))}  # fmt: skip
DEPTHS = [3, *(pytest.param(depth, marks=pytest.mark.slow) for depth in (6, 16))]


@pytest.mark.parametrize("depth", DEPTHS)
def test_certified_over_worst_found(depth: int) -> None:
    network = trained(depth)
    for level, (r2, r4) in zip((1e-5, 1e-2), LARGEST[depth], strict=True):
        found = certified_over_worst(network, level)
        assert 1.0 <= found["R4"] <= found["R2"] <= found["R1"], found
        assert found["R2"] <= r2 and found["R4"] <= r4, found


@pytest.mark.parametrize("depth", DEPTHS)
def test_first_order_rms_is_within_ten_percent(depth: int) -> None:
    network = trained(depth)
    for level in (1e-3, 1e-1):
        assert estimate_over_measured(network, level) == pytest.approx(1.0, abs=0.1)
