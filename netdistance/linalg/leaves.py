"""The unit in which sums over a tensor are kept, so that nothing about the run changes a bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# a sum is kept for each leaf of so many elements, counted from the tensor's start
LEAF_ELEMENTS = 1 << 16
# below OpenBLAS's threading threshold of 10,000: the thread count cannot change a dot product
DOT_ELEMENTS = 1 << 12


def leaf_square(x: NDArray[Any]) -> float:
    """The sum of squares of a leaf or less, by dot products of 2^12 elements, added in float64.

    >>> leaf_square(np.full(5000, 2.0))
    20000.0
    """
    whole = x.size // DOT_ELEMENTS * DOT_ELEMENTS
    total = 0.0
    if whole:
        rows = x[:whole].reshape(-1, DOT_ELEMENTS)
        total = float(np.add.reduce(np.vecdot(rows, rows), dtype=np.float64))
    if whole < x.size:
        total += float(np.vecdot(x[whole:], x[whole:]))
    return total
