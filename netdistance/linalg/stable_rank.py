"""The stable rank |W|_F^2 / |W|_2^2 as a proved interval."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.linalg.interval_arithmetic import quotient, square
from netdistance.linalg.leaves import LEAF_ELEMENTS
from netdistance.linalg.spectral_norm import gamma
from netdistance.linalg.sums import SumOfSquares
from netdistance.quantities import Interval

# the sums below meet dots of 2^12 elements and a few more roundings
_DOT_ROUNDINGS = (1 << 12) + 64
_BLOCK_ELEMENTS = 16 * LEAF_ELEMENTS


def stable_rank(frobenius: Interval, norm: Interval) -> Interval:
    """[F^2/hi^2, F^2/lo^2] from intervals of |W|_F and of |W|_2, rounded outward.

    Rudelson and Vershynin 2007, section 1.1: between 1 and the rank, and unlike the rank steady
    under small changes. For a convolution's operator norm it is the mean of |K^(w)|_F^2 over all
    frequencies divided by the largest |K^(w)|_2^2: at most the smaller channel count, and below 1
    where few frequencies carry the kernel.

    Raises:
        ValueError: `norm` reaches 0, as that of a zero tensor does: it has no stable rank.

    >>> rank = stable_rank(Interval(2.0, 2.0), Interval(1.0, 1.0))
    >>> rank.lower <= 4.0 <= rank.upper, rank.upper - rank.lower < 1e-14
    (True, True)
    """
    return square(quotient(frobenius, norm))


def frobenius_interval(weight: NDArray[Any]) -> Interval:
    """The Frobenius norm between two proved ends, about 1e-12 apart.

    The sums of squares of 2^12 elements are off by gamma(2^12) of themselves at most, whatever the
    order of their additions; leaves, `fsum`, root and scaling add a few roundings.

    Raises:
        ValueError: an entry is not finite, or the norm exceeds float64.
    """
    flat, total = np.ravel(weight), SumOfSquares()
    for at in range(0, flat.size, _BLOCK_ELEMENTS):
        part = SumOfSquares.of(flat[at : at + _BLOCK_ELEMENTS].astype(np.float64))
        if part is None:
            raise ValueError("an entry is NaN or infinite: a norm needs finite entries")
        total = total + part
    error = gamma(_DOT_ROUNDINGS)
    return Interval(total.norm * (1.0 - error), total.norm * (1.0 + error))
