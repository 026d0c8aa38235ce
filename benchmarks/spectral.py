"""The proved interval of the largest singular value, against all singular values in float64."""

from __future__ import annotations

import time

import numpy as np

from netdistance.linalg.spectral_norm import spectral_norm

_SIZE = 3072


def interval_speed() -> dict[str, float]:
    """spectral_norm over numpy's svd of a Gaussian 3072 x 3072; the bar is a ratio of 0.4."""
    weight = np.random.default_rng(0).standard_normal((_SIZE, _SIZE))
    begun = time.perf_counter()
    largest = float(np.linalg.svd(weight, compute_uv=False)[0])
    middle = time.perf_counter()
    interval = spectral_norm(weight)
    ended = time.perf_counter()
    assert interval.lower <= largest * (1 + 1e-12) and largest <= interval.upper * (1 + 1e-12)
    return {
        "interval_seconds": ended - middle,
        "interval_over_svd": (ended - middle) / (middle - begun),
        "relative_width": (interval.upper - interval.lower) / interval.lower,
    }
