"""What each container can hold: the numbers nearest to a tensor's on the grid that it stores.

A floor is what rounding costs, so it is taken by rounding for real, with the scales that the
container's own plain quantiser would choose: round to nearest, no calibration. Sources: the OCP
8-bit floating point 1.0 and microscaling 1.0 specifications (fp8, mxfp4), arXiv:2305.14314
appendix E (nf4), ggml's reference quantisers (Q*_0, Q*_1), arXiv:2210.17323 (groups of GPTQ).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Round = Callable[[Floats], Floats]

# elements that are looked at together where a grid has no groups of its own, or larger ones
SEGMENT = 128


@dataclass(frozen=True, slots=True)
class Grid:
    """A format's numbers. `rounded` takes rows (R, C) and gives the nearest that it can hold.

    `name` is the format for a report, such as int4 or bf16. Scales are shared by `group` elements
    along a row, None where each number has its own exponent or a whole row shares one; by `band`
    rows where blocks have rows. `calibrated`: the quantisers that write this container accept a
    larger change of weights for a smaller one of outputs. `flat`: groups run on from row to row.
    `spacing` is between a number and the next: arithmetic in such a type rounds what it holds too.
    """

    name: str
    rounded: Round
    group: int | None = None
    band: int = 1
    calibrated: bool = False
    flat: bool = False
    spacing: Round | None = None

    @property
    def segment(self) -> int:
        """How many elements along a row are judged together."""
        return min(self.group or SEGMENT, SEGMENT)


def in_groups(group: int | None, quantised: Round) -> Round:
    """Rounding of each group along a row by itself, the last one ragged; None: the whole row."""

    def rounded(rows: Floats) -> Floats:
        count, columns = rows.shape
        size = min(group or columns, columns)
        beyond = -columns % size
        # zeros neither raise the largest of a group nor lie off its grid
        padded = np.pad(rows, ((0, 0), (0, beyond))) if beyond else rows
        found = quantised(padded.reshape(-1, size)).reshape(count, -1)
        return found[:, :columns]

    return rounded


def symmetric(bits: int, top: float) -> Round:
    """Codes from -2^(bits - 1) to 2^(bits - 1) - 1 times max / top."""
    last = 2 ** (bits - 1)

    def quantised(groups: Floats) -> Floats:
        step = _largest(groups) / top
        found: Floats = np.clip(np.rint(groups * _inverse(step)), -last, last - 1) * step
        return found

    return quantised


def signed_largest(bits: int) -> Round:
    """Ggml's Q4_0 and Q5_0: the element of largest magnitude gets code -2^(bits - 1)."""
    last = 2 ** (bits - 1)

    def quantised(groups: Floats) -> Floats:
        at = np.abs(groups).argmax(axis=1)[:, None]
        step = np.take_along_axis(groups, at, axis=1) / -last
        codes = np.clip(np.floor(groups * _inverse(step) + 0.5), -last, last - 1)
        found: Floats = codes * step
        return found

    return quantised


def affine(bits: int, *, with_zero: bool) -> Round:
    """2^bits codes from the least to the largest, with zero among them as a whole code or not."""
    last = 2**bits - 1

    def quantised(groups: Floats) -> Floats:
        low, high = groups.min(axis=1, keepdims=True), groups.max(axis=1, keepdims=True)
        if not with_zero:
            step = (high - low) / last
            whole: Floats = np.rint((groups - low) * _inverse(step)) * step + low
            return whole
        low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
        step = (high - low) / last
        zero = np.rint(-low * _inverse(step))
        codes = np.clip(np.rint(groups * _inverse(step)) + zero, 0, last)
        found: Floats = (codes - zero) * step
        return found

    return quantised


def scaled(top: float, cast: Round, *, power_of_two: bool = False) -> Round:
    """A small float whose largest number `top` the largest element gets, by a scale for each group.

    `power_of_two`: the scale is one, floor(log2 max) - floor(log2 top), as microscaling has it.
    """

    def quantised(groups: Floats) -> Floats:
        largest = _largest(groups)
        if power_of_two:
            exponents = np.frexp(largest)[1] - int(np.frexp(top)[1])
            scale = np.ldexp(np.where(largest > 0.0, 1.0, 0.0), exponents)
        else:
            scale = largest / top
        found: Floats = cast(groups * _inverse(scale)) * scale
        return found

    return quantised


def in_blocks(band: int, group: int, quantised: Round) -> Round:
    """One scale for `band` rows and `group` columns; the rows given begin at a block."""

    def rounded(rows: Floats) -> Floats:
        count, columns = rows.shape
        padded = np.pad(rows, ((0, -count % band), (0, -columns % group)))
        high, wide = padded.shape[0] // band, padded.shape[1] // group
        blocks = padded.reshape(high, band, wide, group).swapaxes(1, 2).reshape(-1, band * group)
        found = quantised(blocks).reshape(high, wide, band, group).swapaxes(1, 2)
        return found.reshape(padded.shape)[:count, :columns]

    return rounded


def by_scale(scale: float, cast: Round) -> Round:
    """One scale for the whole tensor."""
    return lambda rows: cast(rows / scale) * scale


def whole(bits: int) -> Round:
    """To the nearest whole number from -2^(bits - 1) to 2^(bits - 1) - 1."""
    last = 2 ** (bits - 1)
    return lambda values: np.clip(np.rint(values), -last, last - 1)


def floating(mantissa: int, least: int, top: float) -> Round:
    """To the nearest float of so many bits after the leading one, ties to even, clipped to `top`.

    `least` is the exponent below which numbers are multiples of 2^(least - mantissa).

    >>> floating(3, -6, 448.0)(np.array([[1.07, 500.0, 0.001]])).tolist()
    [[1.125, 448.0, 0.001953125]]
    """

    def cast(values: Floats) -> Floats:
        exponent = np.maximum(np.frexp(values)[1] - 1, least) - mantissa
        found: Floats = np.ldexp(np.rint(np.ldexp(values, -exponent)), exponent)
        return np.clip(found, -top, top)

    return cast


def codebook(levels: tuple[float, ...]) -> Round:
    """The nearest of some levels times the largest magnitude; `levels` ascend from -1 to 1."""
    table = np.array(levels)
    between = (table[1:] + table[:-1]) / 2.0

    def quantised(groups: Floats) -> Floats:
        largest = _largest(groups)
        found: Floats = table[np.searchsorted(between, groups * _inverse(largest))] * largest
        return found

    return quantised


def to_float32(values: Floats) -> Floats:
    """To the nearest float32."""
    with np.errstate(over="ignore", under="ignore"):
        return values.astype(np.float32).astype(np.float64)


def float32_spacing(values: Floats) -> Floats:
    """From each magnitude, as a float32, to the next."""
    return np.spacing(np.abs(to_float32(values)).astype(np.float32)).astype(np.float64)


BF16 = floating(7, -126, 3.3895313892515355e38)
FP16 = floating(10, -14, 65504.0)
E4M3 = floating(3, -6, 448.0)
E5M2 = floating(2, -14, 57344.0)
E2M1 = floating(1, 0, 6.0)
NF4 = codebook(
    (
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
        -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
        0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
        0.7229568362236023, 1.0,
    )
)  # fmt: skip
_FP4 = (0.0052083333, 0.16666667, 0.25, 0.33333333, 0.5, 0.66666667, 1.0)
FP4 = codebook((*(-level for level in reversed(_FP4)), 0.0, *_FP4))


def _largest(groups: Floats) -> Floats:
    found: Floats = np.abs(groups).max(axis=1, keepdims=True, initial=0.0)
    return found


def _inverse(scale: Floats) -> Floats:
    """1 / scale, and 0 for a group of zeros."""
    return np.divide(1.0, scale, out=np.zeros_like(scale), where=scale != 0.0)
