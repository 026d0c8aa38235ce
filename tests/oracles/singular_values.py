"""The largest singular value in 60-digit arithmetic (mpmath), and a comparer for intervals."""

from __future__ import annotations

import mpmath
import numpy as np

from netdistance.quantities import Interval

DIGITS = 60


def largest_singular_value(matrix: np.ndarray) -> mpmath.mpf:
    """The largest singular value of a small matrix, by mpmath's SVD of its exact entries.

    The entries are scaled by a power of two first: mpmath's stopping rule is absolute.
    """
    exponent = int(np.frexp(np.abs(matrix).max())[1])
    with mpmath.workdps(DIGITS):
        exact = mpmath.matrix(*matrix.shape)
        for index in np.ndindex(*matrix.shape):
            exact[index] = mpmath.ldexp(mpmath.mpf(float(matrix[index])), -exponent)
        values = mpmath.svd_r(exact, compute_uv=False)
        return mpmath.ldexp(max(values), exponent)


def miss(interval: Interval, reference: object, slack: float = 0.0) -> str:
    """What is wrong with an interval, empty where it holds `reference` up to a relative slack."""
    with mpmath.workdps(DIGITS):
        value = mpmath.mpf(reference)
        if mpmath.mpf(interval.lower) > value * (1 + mpmath.mpf(slack)):
            return f"lower end {interval.lower!r} exceeds {mpmath.nstr(value, 20)}"
        if mpmath.mpf(interval.upper) < value * (1 - mpmath.mpf(slack)):
            return f"upper end {interval.upper!r} is below {mpmath.nstr(value, 20)}"
    return ""
