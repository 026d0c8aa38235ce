"""Slow twins of the metrics that stream: exact integer sums, then 100 digits (mpmath).

Every float64 is an integer times 2^-1074, so sums of squares and products are exact integers and
nothing in them can cancel, overflow or underflow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import mpmath
import numpy as np

from netdistance.quantities import Exact, Interval, Quantity, Skipped

DIGITS = 100
_UNIT = 1 << 1074

# None: there is no such number
Number = mpmath.mpf | None
Twin = Callable[[np.ndarray, np.ndarray], Number]


def integers(x: np.ndarray) -> list[int]:
    """The elements in units of 2^-1074; a complex number is two."""
    if np.iscomplexobj(x):
        x = x.astype(np.complex128).view(np.float64)
    ratios = (value.as_integer_ratio() for value in x.astype(np.float64).tolist())
    return [numerator * (_UNIT // denominator) for numerator, denominator in ratios]


def dot(x: Sequence[int], y: Sequence[int]) -> int:
    return sum(u * v for u, v in zip(x, y, strict=True))


def _sides(a: np.ndarray, b: np.ndarray) -> tuple[list[int], list[int], list[int]]:
    x, y = integers(a), integers(b)
    return x, y, [v - u for u, v in zip(x, y, strict=True)]


def relative_frobenius(a: np.ndarray, b: np.ndarray) -> Number:
    """||b - a||_F / ||a||_F (arXiv 2002.03432, section 3); 0 where nothing moved."""
    x, _, d = _sides(a, b)
    if not any(d):
        return mpmath.mpf(0)
    return mpmath.sqrt(mpmath.mpf(dot(d, d)) / dot(x, x)) if any(x) else None


def max_abs(a: np.ndarray, b: np.ndarray) -> Number:
    """The largest modulus of a difference, by its definition."""
    _, _, d = _sides(a, b)
    step = 2 if np.iscomplexobj(a) or np.iscomplexobj(b) else 1
    squares = [sum(v * v for v in d[i : i + step]) for i in range(0, len(d), step)]
    return mpmath.sqrt(max(squares, default=0)) / _UNIT


def angle_rad(a: np.ndarray, b: np.ndarray) -> Number:
    """acos(a.b / |a||b|): the definition, which only many digits can afford."""
    x, y, d = _sides(a, b)
    if not any(d):
        return mpmath.mpf(0)
    if not any(x) or not any(y):
        return None
    return mpmath.acos(dot(x, y) / mpmath.sqrt(mpmath.mpf(dot(x, x)) * dot(y, y)))


def sqnr_db(a: np.ndarray, b: np.ndarray) -> Number:
    """10 log10 of signal power over noise power, by its definition."""
    x, _, d = _sides(a, b)
    return 10 * mpmath.log10(mpmath.mpf(dot(x, x)) / dot(d, d)) if any(d) and any(x) else None


def changed_fraction(a: np.ndarray, b: np.ndarray) -> Number:
    """Elements that differ over all elements."""
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    return mpmath.mpf(sum(u != v for u, v in pairs)) / max(len(pairs), 1)


def sign_flips(a: np.ndarray, b: np.ndarray) -> Number:
    """Numbers whose product is negative over all numbers, by exact integers."""
    x, y = integers(a), integers(b)
    return mpmath.mpf(sum(u * v < 0 for u, v in zip(x, y, strict=True))) / max(len(x), 1)


def sparsity_a(a: np.ndarray, b: np.ndarray) -> Number:
    """Zeros over all elements."""
    return mpmath.mpf(a.tolist().count(0)) / max(a.size, 1)


def sparsity_b(a: np.ndarray, b: np.ndarray) -> Number:
    """Zeros over all elements."""
    return sparsity_a(b, a)


def relative_max(a: np.ndarray, b: np.ndarray) -> Number:
    """The largest modulus of a difference over the largest of a."""
    moved, largest = max_abs(a, b), max_abs(np.zeros_like(a), a)
    assert moved is not None
    if not moved:
        return mpmath.mpf(0)
    return moved / largest if largest else None


TWINS: dict[str, Twin] = {
    "relative_frobenius": relative_frobenius,
    "max_abs": max_abs,
    "angle_rad": angle_rad,
    "sqnr_db": sqnr_db,
    "changed_fraction": changed_fraction,
    "sign_flips": sign_flips,
    "sparsity_a": sparsity_a,
    "sparsity_b": sparsity_b,
    "relative_max": relative_max,
}
# absolute where a metric says so, else relative
ABSOLUTE = {"angle_rad": 1e-8, "sqnr_db": 1e-11}
RELATIVE = 1e-12
LARGEST = float(np.finfo(np.float64).max)


def miss(metric: str, found: Quantity, a: np.ndarray, b: np.ndarray) -> str:
    """How a metric departs from its twin, empty where they agree.

    A number may be missing only where there is none, or where float64 cannot hold it.
    """
    with mpmath.workdps(DIGITS):
        expected = TWINS[metric](a, b)
        if isinstance(found, Skipped):
            beyond = expected is not None and abs(expected) > LARGEST
            lost = "float64 can hold" in found.reason
            return "" if expected is None or beyond or lost else f"skipped: {found.reason}"
        if isinstance(found, Interval) and metric == "angle_rad" and expected is not None:
            inside = found.lower <= expected <= found.upper and found.upper - found.lower < 0.1
            return "" if inside else f"{found} leaves out {mpmath.nstr(expected, 20)}"
        if expected is None or not isinstance(found, Exact):
            return f"{found}, but there is no number"
        error = abs(mpmath.mpf(found.value) - expected)
        allowed = ABSOLUTE.get(metric, 0.0) + RELATIVE * abs(expected) + mpmath.mpf(5e-324)
        return "" if error <= allowed else f"{found.value!r} against {mpmath.nstr(expected, 20)}"
