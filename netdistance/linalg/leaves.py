"""The unit in which sums over a tensor are kept, so that nothing about the run changes a bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# a sum is kept for each leaf of so many elements, counted from the tensor's start
LEAF_ELEMENTS = 1 << 16
# below OpenBLAS's threading threshold of 10,000: the thread count cannot change a dot product
DOT_ELEMENTS = 1 << 12


# so many at a time: with less, two threads spend their time handing over the interpreter lock
BATCH_ELEMENTS = 4 * LEAF_ELEMENTS


def leaf_squares(x: NDArray[Any]) -> tuple[float, ...]:
    """The sum of squares of each leaf, by dot products of 2^12 elements, added in float64.

    >>> leaf_squares(np.full(70000, 2.0))
    (262144.0, 17856.0)
    """
    if x.size < DOT_ELEMENTS:  # one dot product, as most tensors of a large network need
        return (float(np.vecdot(x, x)),) if x.size else ()
    whole = x.size // DOT_ELEMENTS * DOT_ELEMENTS
    rows, rest = x[:whole].reshape(-1, DOT_ELEMENTS), x[whole:]
    dots = np.vecdot(rows, rows).astype(np.float64)
    if rest.size:
        dots = np.append(dots, np.float64(np.vecdot(rest, rest)))
    if not dots.size:
        return ()
    starts = np.arange(0, dots.size, LEAF_ELEMENTS // DOT_ELEMENTS)
    return tuple(np.add.reduceat(dots, starts).tolist())
