"""The norm of a weight tensor as a linear map, when only the tensor is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.linalg.conv_norm import conv_norm
from netdistance.linalg.interval_arithmetic import widened
from netdistance.linalg.spectral_norm import UNIT_ROUNDOFF, rescaled, scaled_to_unit, spectral_norm
from netdistance.linalg.stable_rank import frobenius_interval
from netdistance.linalg.symbol_norm import most_flops
from netdistance.quantities import Interval

# the symbol of a kernel that costs more (one or two minutes), or more memory, is replaced
# by the norm of its reshape
_MOST_FLOPS, _MOST_BYTES = 2e12, 2**30
# squares of entries in this range neither overflow nor vanish
_SAFE = 1e-120


def weight_norm(weight: NDArray[Any]) -> Interval:
    """The l2 operator norm of a weight tensor, between two proved ends.

    A matrix (m, n): its largest singular value. More axes are read as the kernel of a convolution,
    (c_out, c_in/groups, *k), by its norm at stride 1 over all input sizes: N = sup_w |K^(w)|_2 with
    K^(w) = sum_a K[:, :, a] exp(i w.a), the kernel taken as it stands, with one group.

    Without a model the options of the convolution are unknown, and the upper end bounds them all:

    - stride: the strided map is the stride-1 map followed by a choice of outputs, of norm 1;
    - zero padding: the map is the one on infinite inputs, of norm N, between an embedding by zeros
      and a choice of outputs; circular padding that makes no more outputs than there are inputs
      picks some of the frequencies of the supremum;
    - dilation d: its symbol is K^(d w), which takes the same values;
    - g groups: each frequency has the block diagonal of the row blocks K_1^(w), ..., K_g^(w) of
      K^(w), of norm max_j |K_j^(w)| <= |K^(w)|, as leaving out rows lengthens no vector;
    - transposed: the adjoint of such a map, of the same norm.

    Padding by reflection or replication is not covered: it can repeat an input. The lower end
    belongs to N alone: a map with a stride, several groups or a small input can have a smaller
    norm, with g groups by a factor of at most sqrt(g).

    A kernel whose symbol would be too costly gets |R| <= N <= sqrt(prod k) |R| for R the reshape
    (c_out, c_in prod k), or the one with the channels exchanged: the mean of K^(w) K^(w)* over all
    frequencies is R R*, and an input value enters at most prod k of the patches that R maps.

    Raises:
        ValueError: fewer than two axes, no elements, not a float array, an entry not finite.

    >>> interval = weight_norm(np.ones((1, 1, 2)))  # |1 + exp(iw)| is 2 at w = 0
    >>> interval.lower <= 2.0 <= interval.upper < 2.01
    True
    """
    weight = np.asarray(weight)
    if weight.ndim < 2 or not weight.size:
        raise ValueError(f"weight has shape {weight.shape}: expected two or more axes, none empty")
    taps = math.prod(weight.shape[2:])
    if taps == 1:
        return spectral_norm(weight.reshape(weight.shape[:2]))
    return _by_reshape(weight, taps) if _is_costly(weight.shape) else conv_norm(weight)


def _is_costly(shape: tuple[int, ...]) -> bool:
    """Whether `conv_norm` would take more operations or memory than is spent on one tensor."""
    columns, rows = sorted(shape[:2])
    taps, terms = math.prod(shape[2:]), math.prod(2 * size - 1 for size in shape[2:])
    flops = 1.0 * taps**2 * rows * columns**2 + most_flops(columns, shape[2:])
    # the table, the taps it is made from, and a chunk of matrices
    nbytes = 8.0 * terms * columns**2 + 24.0 * taps * rows * columns + 100.0 * columns**2
    return flops > _MOST_FLOPS or nbytes > _MOST_BYTES


def _by_reshape(weight: NDArray[Any], taps: int) -> Interval:
    # the map of one with channels exchanged is the adjoint, up to a flip of the taps
    kernel = weight if weight.shape[0] <= weight.shape[1] else weight.swapaxes(0, 1)
    norm = spectral_norm(kernel.reshape(kernel.shape[0], -1))
    upper = norm.upper * math.sqrt(taps) * (1.0 + 4.0 * UNIT_ROUNDOFF)
    return Interval(norm.lower, upper, norm.confidence)


@dataclass(frozen=True, slots=True)
class WeightNorms:
    """The operator norm and the Frobenius norm of a tensor, both times 2^-exponent.

    The exponent is 0 unless entries are so large or small that norms would leave float64.
    """

    operator: Interval
    frobenius: Interval
    exponent: int

    @classmethod
    def of(cls, weight: NDArray[Any]) -> WeightNorms:
        """The norms of a float tensor with two or more axes, none empty, all entries finite."""
        largest = max(float(weight.max()), -float(weight.min()))
        exponent = 0
        if largest and not _SAFE < largest < 1.0 / _SAFE:
            weight, exponent = scaled_to_unit(weight)
        return cls(weight_norm(weight), frobenius_interval(weight), exponent)

    @classmethod
    def of_difference(cls, a: NDArray[Any], b: NDArray[Any]) -> WeightNorms:
        """The norms of b - a, its rounding in float64 included.

        An entry of fl(b - a) is off by at most u of itself, so the difference by at most u F in
        the Frobenius norm, and sqrt(prod k) times that in the norm of a convolution, whose symbol
        is a sum of prod k matrices. ValueError where it exceeds float64.
        """
        with np.errstate(over="ignore"):
            change = np.subtract(b, a, dtype=np.float64)
        if not np.isfinite(change).all():
            raise ValueError("the difference exceeds float64")
        norms = cls.of(change)
        if norms.is_zero:  # float64 subtraction gives 0 for equal numbers alone
            return norms
        off = 2.0 * UNIT_ROUNDOFF * norms.frobenius.upper
        taps = math.prod(change.shape[2:])
        return cls(
            widened(norms.operator, off * math.sqrt(taps) * (1.0 + 4.0 * UNIT_ROUNDOFF)),
            widened(norms.frobenius, off),
            norms.exponent,
        )

    def of_ball(self, taps: int) -> WeightNorms:
        """The norms that tensors of at most this Frobenius norm and `taps` taps can have.

        The largest operator norm is sqrt(taps) |W|_F, a matrix being a kernel of one tap:
        |K^(w)|_2 <= sum_a |K_a|_2 <= sum_a |K_a|_F <= sqrt(taps) |K|_F by Cauchy and Schwarz, and
        the same matrix of rank one at every tap reaches it at w = 0.
        """
        root, slack = math.sqrt(taps), 4.0 * UNIT_ROUNDOFF
        ends = self.frobenius.lower * root, self.frobenius.upper * root
        reach = Interval(
            ends[0] * (1.0 - slack), ends[1] * (1.0 + slack), self.frobenius.confidence
        )
        return WeightNorms(reach, self.frobenius, self.exponent)

    @property
    def is_zero(self) -> bool:
        """Whether every entry is 0."""
        return self.frobenius.upper == 0.0

    @property
    def operator_norm(self) -> Interval:
        """The operator norm itself; ValueError where it exceeds float64."""
        if not self.exponent:
            return self.operator
        low, high, confidence = self.operator.lower, self.operator.upper, self.operator.confidence
        return rescaled(low, high, self.exponent, confidence)
