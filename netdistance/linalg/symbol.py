"""The symbol of a convolution, its matrix at every frequency, with bounds of all rounding.

S(w) = sum_a K_a exp(i w.a) over taps a in prod_j [0, q_j), one S per group. S(w)*S(w) is
sum_d G_d exp(i w.d) with G_d = sum_a K_a' K_(a+d) = G_(-d)': a table of the G_d + G_d' and
G_d - G_d' gives it at any frequency without another product of matrices. Scaling, u and gamma are
those of `spectral_norm`.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray

from netdistance.linalg.spectral_norm import Array, Lanczos, gamma, quotient_below

Complex = NDArray[np.complex128]

# frequencies are sums of at most this many subdivisions' steps
LEVELS = 8
# angles d.w are off by this many u per unit of d: 8 for each step of a frequency, below 8, and 40
# for the first one, the product, and twice 4 ulp for the cosine and the sine
_ANGLE_ULPS = 8 * LEVELS + 40


class Symbol:
    """S*S at any frequency, for a kernel of shape (groups, rows, columns, *q).

    `size` bounds |S|: S is at most sum_a |K_a| in every entry. The bounds of rounding:

    - `error`, of fl(S(w)): sums over prod q taps of terms whose exponentials are off by
      `_ANGLE_ULPS` and three roundings per axis, in real and imaginary part, times `size`;
    - `gram_error`, of fl(S*S): inner products of length rows prod q, then sums over d, in both
      parts; the terms add up to |S|'|S| at most, of norm `size`^2.
    """

    def __init__(self, kernel: Array):
        self.kernel, self.phases = kernel, kernel.shape[3:]
        self.groups, self.rows, self.order = kernel.shape[:3]
        taps, angles = math.prod(self.phases), _ANGLE_ULPS * (sum(self.phases) + 1)
        offsets = list(product(*(range(1 - q, q) for q in self.phases)))
        self.offsets = np.array(offsets[len(offsets) // 2 :]).T  # (axes, D): 0, then one of d, -d
        self.even, self.odd = self._table()
        sums = np.abs(kernel.reshape(*kernel.shape[:3], -1)).sum(-1)
        self.size = 1.01 * float(np.linalg.norm(sums, axis=(1, 2)).max())
        self.error = 2.02 * gamma(taps + angles) * self.size
        roundings = self.rows * taps + angles + 2 * self.offsets.shape[1] + 8
        self.gram_error = 2.02 * gamma(roundings) * (1.01 * self.size) ** 2

    def _table(self) -> tuple[Array, Array]:
        """-G_0 and -(G_d + G_d'), and -(G_d - G_d') with d = 0: each (groups, D, order^2)."""
        taps = np.ascontiguousarray(np.moveaxis(self.kernel, (1, 2), (-2, -1)))
        even = np.empty((self.groups, self.offsets.shape[1], self.order, self.order))
        odd = np.empty_like(even)
        for at, offset in enumerate(self.offsets.T):
            spans = [(max(0, -d), min(q, q - d)) for d, q in zip(offset, self.phases, strict=True)]
            near = [slice(low, high) for low, high in spans]
            far = [slice(low + d, high + d) for (low, high), d in zip(spans, offset, strict=True)]
            left, right = (
                taps[(slice(None), *part)].reshape(self.groups, -1, self.order)
                for part in (near, far)
            )
            gram = left.swapaxes(1, 2) @ right
            even[:, at] = -(gram + gram.swapaxes(1, 2)) if at else -gram
            odd[:, at] = gram.swapaxes(1, 2) - gram
        return even.reshape(*even.shape[:2], -1), odd.reshape(*even.shape[:2], -1)

    def _exponentials(self, frequencies: Array, steps: NDArray[np.int64]) -> Complex:
        """exp(i w.d) for frequencies (n, axes) and steps d (axes, D): (n, D)."""
        turns: Complex = np.ones((len(frequencies), steps.shape[1]), dtype=np.complex128)
        for axis, q in enumerate(self.phases):
            powers = np.exp(1j * np.multiply.outer(frequencies[:, axis], np.arange(1.0 - q, q)))
            turns *= powers[:, steps[axis] + q - 1]
        return turns

    def shifted(self, group: NDArray[np.int64], frequencies: Array, t: Array) -> Complex:
        """fl(tI - S*S), one per group index, frequency and t: (n, order, order)."""
        turns = self._exponentials(frequencies, self.offsets)
        matrices = np.empty((len(group), self.order**2), dtype=np.complex128)
        for one in np.unique(group):
            rows = group == one
            matrices.real[rows] = turns.real[rows] @ self.even[one]
            matrices.imag[rows] = turns.imag[rows] @ self.odd[one]
        matrices[:, :: self.order + 1] += t[:, None]
        return matrices.reshape(-1, self.order, self.order)

    def lower(self, group: int, frequency: Array) -> float:
        """A proved lower end of |S| of one group at one frequency, by a real matrix twice as big.

        Its inner products have 2 order terms, and its absolute values norm 2 `size` at most.
        """
        steps = np.indices(self.phases).reshape(len(self.phases), -1)
        turns = self._exponentials(frequency[None], steps)[0]
        taps = self.kernel[group].reshape(self.rows, self.order, -1)
        real, imaginary = taps @ turns.real, taps @ turns.imag
        twice = np.block([[real, -imaginary], [imaginary, real]])
        vector = Lanczos(lambda x: (x @ twice.T) @ twice, 2 * self.order, 1, 200).converge(1e-9)
        error = 2.02 * gamma(2 * self.order) * self.size + self.error
        return quotient_below(twice @ vector, vector, error)
