"""The largest singular value of a matrix, as an interval that float64 arithmetic proves.

Rounding is bounded throughout with u = 2^-53 and gamma(j) = ju/(1-ju) (Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed., section 3.1): a computed inner product of length j, in
any order and with or without fused multiply-add, is off by at most gamma(j)|x|.|y|. Matrices are
first scaled by a power of two to a largest entry in [1/2, 1): sigma_1 >= 1/2, and all underflow
stays below 1e-280, inside the few ulps of slack that every bound ends with.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.quantities import Interval

Array = NDArray[np.float64]

UNIT_ROUNDOFF = 2.0**-53
LADDER = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1)
_SEED = 20200209
_STARTS, _STEPS = 4, (48, 72, 100, 140, 200)


def gamma(j: int) -> float:
    """The relative rounding error of j operations, ju/(1-ju), itself rounded up."""
    return j * UNIT_ROUNDOFF / (1.0 - j * UNIT_ROUNDOFF) * (1.0 + 8.0 * UNIT_ROUNDOFF)


def scaled_to_unit(array: NDArray[Any]) -> tuple[Array, int]:
    """A float64 copy of `array` times 2^-e with its largest entry in [1/2, 1), and e.

    Exact but for entries below 2^-1022 of the largest, off by 2^-1075. ValueError where they are
    not floats of at most 64 bits, or one is NaN or infinite.
    """
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise ValueError(f"entries are {array.dtype}, expected float16, float32 or float64")
    largest = max(float(array.max(initial=0)), -float(array.min(initial=0)))
    if not math.isfinite(largest):
        raise ValueError("an entry is NaN or infinite: a norm needs finite entries")
    exponent = math.frexp(largest)[1]
    return np.ldexp(array.astype(np.float64, copy=False), -exponent), exponent


def rescaled(lower: float, upper: float, exponent: int, confidence: float = 1.0) -> Interval:
    """[lower, upper] times 2^exponent, rounded outward; ValueError beyond the largest float64."""
    if math.frexp(upper)[1] + exponent > 1024:
        raise ValueError("the norm exceeds the largest float64: scale the array down first")
    low, high = math.ldexp(lower, exponent), math.ldexp(upper, exponent)
    return Interval(math.nextafter(low, 0.0), math.nextafter(high, math.inf), confidence)


def frobenius_above(matrix: Array) -> float:
    """An upper bound of the Frobenius norm of an n by m array.

    Row sums first, each square meets n + m roundings: the sum is at least 1 - gamma(n+m) of it.
    """
    squares = float(np.einsum("ij,ij->i", matrix, matrix).sum())
    return math.sqrt(squares * (1.0 + 2.0 * gamma(sum(matrix.shape) + 16)))


def quotient_below(image: Array, vector: Array, relative_error: float) -> float:
    """A lower bound of |Tx|/|x| from image = fl(Tx), vector = x.

    |fl(Tx) - Tx| <= relative_error |x| is the caller's proof. The two computed norms, over p and q
    entries, are off by at most gamma(p+1) and gamma(q+1); six more operations follow.
    """
    if not vector.any():
        return 0.0
    ratio = float(np.linalg.norm(image)) / float(np.linalg.norm(vector))
    below = ratio * (1.0 - gamma(image.size + vector.size + 8)) - relative_error
    return max(0.0, below * (1.0 - 8.0 * UNIT_ROUNDOFF))


class Lanczos:
    """Independent Lanczos recurrences for x -> T'Tx, fully reorthogonalised, one per start.

    Each builds the tridiagonal matrix that Golub-Kahan bidiagonalisation of T gives as B'B.
    `gram` maps rows x of shape (starts, size) to rows T'Tx; at most `capacity` steps are done.
    `residual` sums, squared and per start, how far the computed vectors and coefficients are from
    obeying G v_j = b_(j-1) v_(j-1) + a_j v_j + b_j v_(j+1), with the computed G v_j.
    """

    def __init__(self, gram: Callable[[Array], Array], size: int, starts: int, capacity: int):
        self.gram = gram
        self.capacity = min(capacity, size)
        first = np.random.default_rng(_SEED).standard_normal((starts, size))
        self.basis = np.zeros((starts, self.capacity + 1, size))
        self.basis[:, 0] = first / np.linalg.norm(first, axis=1, keepdims=True)
        self.a, self.b = np.zeros((2, starts, self.capacity))
        self.residual = np.zeros(starts)
        self.steps = 0

    def extend(self, steps: int) -> None:
        """Run until `steps` steps are done, the capacity is full or a space is invariant."""
        while self.steps < min(steps, self.capacity):
            for start, image in enumerate(self.gram(self.basis[:, self.steps])):
                self._advance(start, self.steps, image)
            self.steps += 1
            if np.any(self.b[:, self.steps - 1] <= 1e-14 * np.abs(self.a).max()):
                self.capacity = self.steps

    def _advance(self, start: int, j: int, image: Array) -> None:
        basis = self.basis[start]
        a, before = float(basis[j] @ image), float(self.b[start, j - 1]) if j else 0.0
        rest = image - a * basis[j] - before * basis[j - 1]
        free = rest
        for _ in range(2):
            free = free - (basis[: j + 1] @ free) @ basis[: j + 1]
        b = float(np.linalg.norm(free))
        if b > 0.0:
            basis[j + 1] = free / b
        self.a[start, j], self.b[start, j] = a, b
        # Forming `rest` and this difference takes eight roundings of terms of these lengths.
        gap, length = np.linalg.norm(rest - b * basis[j + 1]), np.linalg.norm(image)
        self.residual[start] += (1.01 * gap + gamma(16) * (length + abs(a) + before + b)) ** 2

    def ritz(self) -> tuple[float, Array]:
        """The largest Ritz value over the starts and its vector."""
        k = self.steps
        best, vector = -1.0, self.basis[0, 0]
        for a, b, basis in zip(self.a[:, :k], self.b[:, : k - 1], self.basis, strict=True):
            values, vectors = np.linalg.eigh(np.diag(a) + np.diag(b, 1) + np.diag(b, -1))
            if float(values[-1]) > best:
                best, vector = float(values[-1]), vectors[:, -1] @ basis[:k]
        return best, vector

    def converge(self, tolerance: float) -> Array:
        """The top Ritz vector once eight more steps change its value by less than `tolerance`."""
        value, before, vector = 0.0, -1.0, np.zeros(0)
        while self.steps < self.capacity and value - before > tolerance * value:
            self.extend(self.steps + 8)
            before, (value, vector) = value, self.ritz()
        return vector


def _overlap(t: float, a: list[float], b: list[float], drift: float) -> float:
    """b_k x_k + drift |x| for x = (tI - T)^-1 e_1, or infinity where t is not above T's spectrum.

    LDL' without pivoting: the computed pivots are those of a tridiagonal matrix within 16ut of T,
    and the rest adds and multiplies nonnegative terms only, so it keeps its relative accuracy.
    """
    pivots, forward = [math.inf], [1.0]
    for j, diagonal in enumerate(a):
        pivot = (t - diagonal) - (b[j - 1] * b[j - 1] / pivots[j] if j else 0.0)
        if pivot <= 0.0:
            return math.inf
        pivots.append(pivot)
        forward.append(forward[j] * b[j] / pivot)
    entry = squares = 0.0
    for j in reversed(range(len(a))):
        entry = (forward[j] + b[j] * entry) / pivots[j + 1]
        squares += entry * entry
    return forward[-1] + drift * math.sqrt(squares)


def polynomial_bound(lanczos: Lanczos, start: int, failure: float, gram_error: float) -> float:
    """A t with sigma_1^2 <= t, unless an event of probability at most `failure` in the start.

    Let x be the top right singular vector and c_j = x.v_j. Dotting the recurrence with x gives
    (sigma_1^2 I - T) c = b_k c_(k+1) e_k + r, so with R = (sigma_1^2 I - T)^-1, for sigma_1^2
    above T's spectrum, |c_1| <= b_k |R_1k| + |R e_1||r|, which falls as sigma_1^2 grows. The first
    term is the reciprocal Lanczos polynomial of van Dorsselaer, Hochstenbach and van der Vorst
    (SIAM J. Matrix Anal. Appl. 22, 2000), the second is rounding. A uniformly random unit v_1 in
    R^n has |c_1| <= e with probability at most e sqrt(2n/pi). No orthogonality of the v_j is used,
    and the event is the same for every k: stopping when the bound is good costs no confidence.
    """
    k, n = lanczos.steps, lanczos.basis.shape[2]
    a, b = lanczos.a[start, :k].tolist(), lanczos.b[start, :k].tolist()
    # 0.9: the start's own rounding, (n+3)u, |v_(k+1)| <= 1 + gamma(n+2), and that of `_overlap`.
    target = 0.9 * failure * math.sqrt(math.pi / (2.0 * n))
    drift = math.sqrt(float(lanczos.residual[start])) + math.sqrt(k) * gram_error * 1.01

    # A symmetric tridiagonal matrix lies below its Gershgorin discs.
    inside, outside = 0.0, float(max(map(abs, a)) + 2.0 * max(b)) + drift
    while not _overlap(outside, a, b, drift) <= target:
        outside *= 2.0
    while outside - inside > 1e-7 * outside:
        middle = 0.5 * (inside + outside)
        holds = _overlap(middle, a, b, drift) <= target
        inside, outside = (inside, middle) if holds else (middle, outside)
    return outside


def cholesky_margin(size: int, t: float) -> float:
    """A c with lambda_max(H) <= t+c whenever Cholesky of fl(tI - H) succeeds, H of order `size`.

    Success means R'R = M + E, |E_ij| <= gamma(k+2)/(1-gamma(k+2)) sqrt(m_ii m_jj) for conventional
    products in any order (Higham theorems 10.3 and 10.5 have k+1; OpenBLAS multiplies by
    reciprocal pivots), so |E| <= 2 gamma(k+2) trace M, trace M <= kt; M is the symmetric matrix of
    the one triangle read. Subtracting on the diagonal adds ut. Complex inner products are real
    ones of length 2k in each part, times sqrt(2), and a reciprocal takes six: gamma(4k+16).
    """
    return t * (size * 2.0 * gamma(4 * size + 16) + 2.0 * UNIT_ROUNDOFF)


def positive_definite(matrices: NDArray[Any]) -> bool:
    """Whether floating-point Cholesky runs to completion on every matrix of a stack."""
    try:
        factor = np.linalg.cholesky(matrices.swapaxes(-2, -1))  # a copy by columns is faster
    except np.linalg.LinAlgError:
        return False
    return bool(np.isfinite(np.diagonal(factor, axis1=-2, axis2=-1)).all())


def _cholesky_upper(negated: Array, diagonal: Array, guess: float, gram_error: float) -> float:
    """A proved upper end of sigma_1 near a guess, from -G, G = fl(W'W) with this diagonal.

    Infinity where every rung fails. The diagonal of `negated` is overwritten.
    """
    for excess in LADDER:
        t = (guess * (1.0 + excess)) ** 2
        np.fill_diagonal(negated, t - diagonal)
        if positive_definite(negated):
            return root_above(t, len(negated), gram_error)
    return math.inf


def root_above(t: float, size: int, gram_error: float) -> float:
    """The bound of sigma_1 once Cholesky succeeds at t, with |fl(W'W) - W'W|_2 <= gram_error."""
    return math.sqrt(t + cholesky_margin(size, t) + gram_error) * (1.0 + 8.0 * UNIT_ROUNDOFF)


def _by_cholesky(tall: Array, frobenius: float) -> tuple[float, float]:
    rows, size = tall.shape
    gram = tall.T @ tall
    vector = Lanczos(lambda block: block @ gram, size, 1, 200).converge(1e-7)
    # |fl(Wv) - Wv| <= gamma(k) ||W||_2 |v| for the absolute values |W|, at most ||W||_F.
    lower = quotient_below(tall @ vector, vector, gamma(size) * frobenius)
    # The componentwise error gamma(K)|W|'|W| has norm at most gamma(K) ||W||_F^2.
    gram_error = 1.01 * gamma(rows) * frobenius**2
    diagonal = gram.diagonal().copy()
    return lower, _cholesky_upper(np.negative(gram, out=gram), diagonal, lower, gram_error)


def _by_polynomial(tall: Array, frobenius: float, delta: float) -> tuple[float, float]:
    rows, size = tall.shape
    lanczos = Lanczos(lambda block: (block @ tall.T) @ tall, size, _STARTS, _STEPS[-1])
    # Two products, gamma(K) and gamma(k) of || |W| ||_2^2 <= ||W||_F^2, and 16ut of `_overlap`.
    gram_error = 1.01 * gamma(rows + size + 32) * frobenius**2
    # The largest bound fails only where all independent starts do: each may with delta^(1/4).
    # One start with delta would meet an overlap of about 1e-14, less than its rounding.
    failure, lower, upper = delta ** (1.0 / _STARTS), 0.0, math.inf
    for steps in _STEPS:
        lanczos.extend(steps)
        _, vector = lanczos.ritz()
        lower = quotient_below(tall @ vector, vector, gamma(size) * frobenius)
        t = max(polynomial_bound(lanczos, i, failure, gram_error) for i in range(_STARTS))
        upper = math.sqrt(t) * (1.0 + 8.0 * UNIT_ROUNDOFF)
        if upper <= lower * 1.0001:
            break
    return lower, upper


def spectral_norm(
    weight: NDArray[Any], *, gram_limit: int = 8192, delta: float = 1e-12
) -> Interval:
    """The largest singular value of a matrix, between two proved ends.

    Lower end: |Wv|/|v| for a Lanczos Ritz vector v, less its rounding. Upper end: the least
    tau of lower times 1 + 1e-6, 1e-4, ... for which a float64 Cholesky factorisation proves
    tau^2 I - W'W positive definite (Rump 2011, Verified bounds for singular values), else the
    Frobenius norm. Where the smaller side exceeds `gram_limit` the upper end is the Lanczos
    polynomial bound instead (see `polynomial_bound`), and the interval has confidence 1 - delta
    over the tool's own random start, an ideal Gaussian generator assumed. IEEE float64 in hardware
    and a BLAS with conventional (not Strassen-like) products are assumed too. `weight` is
    float16, float32 or float64 of shape (m, n), upcast exactly; `gram_limit` is the largest
    smaller side k for which the k by k matrix W'W is formed.

    Cost: K k^2 + k^3/3 flops and 16 k^2 bytes for sides k <= K; beyond, 200 steps at most of two
    products of W with 4 columns each.

    Raises:
        ValueError: not two axes, not a float array, an entry not finite, an option out of range.

    >>> interval = spectral_norm(np.array([[3.0, 0.0], [4.0, 0.0]]))
    >>> interval.lower <= 5.0 <= interval.upper, interval.upper - interval.lower < 1e-12
    (True, True)
    """
    weight = np.asarray(weight)
    if weight.ndim != 2:
        raise ValueError(f"weight has shape {weight.shape}: a matrix has 2 axes, reshape it first")
    if not 0.0 < delta < 1.0:
        raise ValueError(f"delta is {delta}, expected 0 < delta < 1")
    scaled, exponent = scaled_to_unit(weight)
    if not scaled.any():
        return Interval(0.0, 0.0)
    tall = scaled if scaled.shape[0] >= scaled.shape[1] else scaled.T
    frobenius = frobenius_above(tall)
    if tall.shape[1] <= gram_limit:
        lower, upper = _by_cholesky(tall, frobenius)
        return rescaled(lower, min(upper, frobenius), exponent)
    lower, upper = _by_polynomial(tall, frobenius, delta)
    confidence = 1.0 if upper >= frobenius else min(1.0 - delta, 1.0 - UNIT_ROUNDOFF)
    return rescaled(lower, min(max(lower, upper), frobenius), exponent, confidence)
