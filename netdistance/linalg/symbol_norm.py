"""The largest norm of a convolution's symbol over its frequencies, between two proved ends.

**From points to all frequencies.** Let M = |S(w*)| = u*S(w*)v be the maximum. Along t, the real
part of exp(-i s t.(q-1)/2) u*S(w* + st)v is at most M and of exponential type
theta(t) = sum_j |t_j| (q_j - 1)/2 in s: it is M at s = 0, so at least M cos theta(t) at s = 1 for
theta(t) <= pi (Duffin and Schaeffer 1938), and M cos theta(t) <= |S(w* + t)|. Cells that cover all
frequencies, each with |S| <= T cos(theta) at its centre for theta its largest theta(t), thus prove
M <= T: the one with w* gives M cos(theta) <= T cos(theta). Where |S| is small a wide cell will do.

**At a point.** Cholesky proves fl(S*S) below t, see `cholesky_margin` and `Symbol`. S(-w) is the
conjugate of S(w), with the same norm: of first cells that are mirror images one is searched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, product

import numpy as np
from numpy.typing import NDArray

from netdistance.linalg.blas_threads import one_blas_thread
from netdistance.linalg.spectral_norm import (
    LADDER,
    UNIT_ROUNDOFF,
    Array,
    Lanczos,
    cholesky_margin,
    positive_definite,
)
from netdistance.linalg.symbol import LEVELS, Complex, Symbol

_CHUNK_BYTES = 64 * 2**20
_SEED = 20200209
# theta of the first cells
_FIRST = math.pi / 4.0
# the width aimed at, and the flops that it may cost: the last one whatever it costs
WIDTHS = ((1e-3, 2e9), (2.2e-3, 2e9), (4e-3, 2e9), (8.7e-3, 2e11), (0.02, 4e11), (0.036, math.inf))
# up to this order all eigenvalues cost less than a Lanczos recurrence in Python
_SMALL = 128


@dataclass(frozen=True, slots=True)
class _Cells:
    group: NDArray[np.int64]  # (n,)
    centre: Array  # (n, axes)
    theta: Array  # (n,)

    def __len__(self) -> int:
        return len(self.group)

    def __getitem__(self, which: NDArray[np.int64] | slice) -> _Cells:
        return _Cells(self.group[which], self.centre[which], self.theta[which])

    @classmethod
    def joined(cls, parts: list[_Cells]) -> _Cells:
        return cls(
            np.concatenate([part.group for part in parts]),
            np.concatenate([part.centre for part in parts]),
            np.concatenate([part.theta for part in parts]),
        )


def _first_cells(symbol: Symbol, points: tuple[int, ...]) -> _Cells:
    """All listed frequencies times a cover of the searched axes (see `symbol_norm`).

    One searched axis is cut into intervals. On two, the grid points of even index sum are centres
    of diamonds |t_1|/h_1 + |t_2|/h_2 <= 1 that tile: theta is the same at every vertex. Shuffled,
    so that the running maximum rises rarely.
    """
    searched = [axis for axis, count in enumerate(points) if not count]
    sizes = zip(points, symbol.phases, strict=True)
    counts = np.array([count or 2 * len(searched) * (q - 1) for count, q in sizes])[:, None]
    index = np.indices(tuple(counts[:, 0])).reshape(len(points), -1)
    flat = [np.ravel_multi_index(tuple(i), counts[:, 0]) for i in (index, -index % counts)]
    kept = flat[0] <= flat[1]
    if len(searched) == 2:
        kept &= index[searched].sum(0) % 2 == 0
    centres = (2.0 * math.pi * (index / counts)).T[kept]
    group, at = np.divmod(np.arange(symbol.groups * len(centres)), len(centres))
    theta = np.full(len(group), _FIRST if searched else 0.0)
    return _Cells(group, centres[at], theta)[np.random.default_rng(_SEED).permutation(len(group))]


class _Search:
    """Raises `upper`, T, and subdivides cells until every one is below it.

    A cell that was below an earlier, smaller T stays so.
    """

    def __init__(self, symbol: Symbol, points: tuple[int, ...], start: float | None):
        self.symbol, self.peak = symbol, (0, np.zeros(len(points)))
        # half the root mean square of the largest group's singular values over all frequencies
        squares = np.square(symbol.kernel).reshape(symbol.groups, -1).sum(1).max()
        self.best = start or 0.5 * math.sqrt(float(squares) / symbol.order)
        slopes = [0.0 if n else 2.0 / (q - 1) for n, q in zip(points, symbol.phases, strict=True)]
        self.searched = np.flatnonzero(slopes)
        # the cell of a theta is the image of [-theta, theta]^searched
        turned = np.array([[0.5, 0.5], [0.5, -0.5]]) if len(self.searched) == 2 else np.eye(1)
        self.shape = np.zeros((len(self.searched), len(points)))
        for row, axis in enumerate(self.searched):
            self.shape[:, axis] = turned[row] * slopes[axis]
        self.excess = WIDTHS[0][0] if len(self.searched) else LADDER[0]
        self.upper = self.best * (1.0 + self.excess)

    def run(self, cells: _Cells) -> None:
        last = LEVELS if len(self.searched) else 0
        for level in count():
            cells, tops = self._failing(cells)
            if not len(cells):
                return
            if level == 0 and last:
                self.excess = self._affordable(cells, tops)
            if level > last:
                self.excess *= 10.0
            self.upper = max(self.upper, self.best * (1.0 + self.excess))
            if level < last:
                cells = self._split(cells, self._pieces(cells, tops, self.excess))

    def _thresholds(self, theta: Array) -> Array:
        """The t for which success of Cholesky proves |S|^2 <= (T cos theta)^2 at a centre."""
        squares = (self.upper * np.cos(theta)) ** 2 * (1.0 - 128.0 * UNIT_ROUNDOFF)
        margin = cholesky_margin(self.symbol.order, 1.0)
        # 1.01: the margin's trace is at most order (t + gram_error)
        t = (squares - 1.01 * self.symbol.gram_error) / (1.0 + margin)
        return np.where(t > 0.0, t * (1.0 - 8.0 * UNIT_ROUNDOFF), -1.0)  # -1 proves nothing

    def _failing(self, cells: _Cells) -> tuple[_Cells, Array]:
        """The cells that are not proved below T, and estimates of |S| at their centres."""
        failing, tops, short = [cells[:0]], [np.zeros(0)], False
        for chunk in self._chunks(cells):
            t = self._thresholds(chunk.theta)
            matrices = self.symbol.shifted(chunk.group, chunk.centre, t)
            if positive_definite(matrices):
                continue
            bad = np.array([i for i, m in enumerate(matrices) if not positive_definite(m)], int)
            failing.append(chunk[bad])
            estimates = np.sqrt(np.maximum(0.0, t[bad] - self._bottoms(matrices[bad], t[bad])))
            least = self.upper * np.cos(chunk.theta[bad])  # or Cholesky would have succeeded
            short = short or bool((estimates < 0.99 * least).any())
            tops.append(np.maximum(estimates, least))
            self._raise(failing[-1], tops[-1])
        if short:
            self.excess *= 10.0  # a few of these end any search
        return _Cells.joined(failing), np.concatenate(tops)

    def _bottoms(self, matrices: Complex, t: Array) -> Array:
        """Estimates of the smallest eigenvalues of tI - S*S, never an end of an interval."""
        order = self.symbol.order
        if order <= _SMALL:
            return np.asarray(np.linalg.eigvalsh(matrices)[:, 0])
        bottoms = []
        for matrix, shift in zip(matrices, t, strict=True):

            def gram(block: Array, matrix: Complex = matrix, shift: float = shift) -> Array:
                x = block[:, :order] + 1j * block[:, order:]
                image = shift * x - x @ matrix.T
                return np.concatenate([image.real, image.imag], axis=1)

            lanczos = Lanczos(gram, 2 * order, 1, 200)
            lanczos.converge(0.1 * self.excess)
            bottoms.append(shift - lanczos.ritz()[0])
        return np.array(bottoms)

    def _chunks(self, cells: _Cells) -> Iterator[_Cells]:
        step = max(1, _CHUNK_BYTES // (48 * self.symbol.order**2 + 48 * self.symbol.offsets.size))
        return (cells[at : at + step] for at in range(0, len(cells), step))

    def _raise(self, cells: _Cells, tops: Array) -> None:
        at = int(tops.argmax()) if len(tops) else -1
        if at >= 0 and tops[at] > self.best:
            self.best, self.peak = float(tops[at]), (int(cells.group[at]), cells.centre[at])
            self.upper = max(self.upper, self.best * (1.0 + self.excess))

    def _pieces(self, cells: _Cells, tops: Array, excess: float) -> NDArray[np.int64]:
        """In how many pieces per axis to cut failing cells, each of which may hold larger norms."""
        expected = 0.5 * (tops + self.best) / (self.best * (1.0 + excess))
        return np.maximum(2, np.ceil(cells.theta / np.arccos(expected))).astype(np.int64)

    def _affordable(self, cells: _Cells, tops: Array) -> float:
        order, terms = self.symbol.order, self.symbol.offsets.shape[1]
        cost = _cell_flops(order, terms)
        for width, flops in WIDTHS:
            pieces = self._pieces(cells, tops, width).astype(np.float64)
            if cost * float((pieces ** len(self.searched)).sum()) <= flops:
                return width
        return WIDTHS[-1][0]

    def _split(self, cells: _Cells, pieces: NDArray[np.int64]) -> _Cells:
        parts = [cells[:0]]
        for k in np.unique(pieces):
            parents = cells[np.flatnonzero(pieces == k)]
            middles = (2.0 * np.arange(k) - (k - 1.0)) / k
            grid = np.array(list(product(middles, repeat=len(self.searched)))) @ self.shape
            centres = parents.centre[:, None] + parents.theta[:, None, None] * grid
            copies = len(grid)
            parts.append(
                _Cells(
                    np.repeat(parents.group, copies),
                    centres.reshape(-1, centres.shape[2]),
                    np.repeat(parents.theta / k, copies),
                )
            )
        return _Cells.joined(parts)


def _cell_flops(order: int, terms: int) -> float:
    """What one cell costs: Cholesky, the matrix from `terms` table entries, their exponentials."""
    return 4.0 / 3.0 * order**3 + (4.0 * terms + 100.0) * order**2 + 2e3 * terms + 5e3


def most_flops(order: int, phases: tuple[int, ...]) -> float:
    """What a search at the widest of `WIDTHS` costs where |S| is everywhere the same."""
    wide = [q for q in phases if q > 1]
    searched, others = wide[-2:], wide[:-2]
    cells = math.prod(2.0 * len(searched) * (q - 1) for q in searched) / (2 * len(searched))
    pieces = math.ceil(_FIRST / math.acos(1.0 / (1.0 + WIDTHS[-1][0]))) ** len(searched)
    terms = math.prod(2 * q - 1 for q in phases) // 2 + 1
    listed = float(math.prod(map(listed_points, others)))
    return float(cells * listed * pieces * _cell_flops(order, terms))


def listed_points(q: int) -> int:
    """How many points list an axis too many: they lose a factor of cos(pi(q-1)/2N) >= 0.995."""
    return 1 if q == 1 else max(32, 16 * (q - 1))


def symbol_norm(
    kernel: Array, points: tuple[int, ...], start: float | None = None
) -> tuple[float, float]:
    """Proved lower and upper ends of the largest |S(w)| over all groups and frequencies.

    `kernel` is (groups, rows, columns, *q), rows >= columns, scaled, not all 0. An axis with n
    points is listed, w_j = 2 pi f/n; one with 0, of q_j > 1, is searched: at most two are. `start`
    is a proved lower end where there is one, which is returned as it is. The ends are apart by the
    first of `WIDTHS` that is affordable, and by 1e-6 where all axes are listed.

    Cost: order^2 rows (prod q)^2 flops and order^2 prod(2q) doubles for the table, order the number
    of columns; `_cell_flops` for each cell, prod(2q - 2) 0.3 / width of them on two searched axes
    where |S| is everywhere the same, and few but the first where its peak stands out.
    """
    with one_blas_thread():
        symbol = Symbol(kernel)
        search = _Search(symbol, points, start)
        search.run(_first_cells(symbol, points))
        lower = symbol.lower(*search.peak) if start is None else start
        return lower, min(symbol.size, search.upper)
