"""What every compression scheme offers: stored parts, the numbers that they mean, their bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Parts = Mapping[str, NDArray[Any]]
Shape = tuple[int, ...]

# rows are encoded so many elements at a time: 4 MiB of float32
_BAND_ELEMENTS = 1 << 20


class Scheme(Protocol):
    """One way to store a weight: a float32 array of two or more axes, finite and not empty.

    `floor` names the format of the noise floor whose grid this is, where there is one; `rounds`
    says whether each element goes to the nearest of a grid's. `source` says where the scheme is
    written down.
    """

    @property
    def name(self) -> str:
        """How it is called, and asked for."""

    @property
    def floor(self) -> str | None:
        """The format in `distances.noise_floor` that has the same grid."""

    @property
    def rounds(self) -> bool:
        """Whether each element becomes the nearest number that the format has."""

    @property
    def source(self) -> str:
        """Where it is written down."""

    def encode(self, weight: Floats) -> Parts:
        """What is stored of a weight."""

    def decode(self, parts: Parts, shape: Shape) -> Floats:
        """The numbers that stored parts mean."""

    def bits(self, shape: Shape, held: int) -> int:
        """All bits that are stored, scales and masks among them; `held` those of one number now."""


def as_rows(weight: Floats) -> Floats:
    """The weight as a matrix: one row for each index of the first axis."""
    return weight.reshape(weight.shape[0], -1)


def bands(rows: int, columns: int) -> Iterator[slice]:
    """The rows in order, about a million elements at a time."""
    step = max(1, _BAND_ELEMENTS // max(1, columns))
    return (slice(begin, min(begin + step, rows)) for begin in range(0, rows, step))


def group_maxima(rows: Floats, group: int) -> Floats:
    """The largest magnitude of each `group` along a row, the last one ragged: (rows, groups)."""
    found: Floats = np.maximum.reduceat(np.abs(rows), np.arange(0, rows.shape[1], group), axis=1)
    return found


def spread(scales: Floats, group: int, columns: int) -> Floats:
    """The scale of each element, from that of its group along a row."""
    if group >= columns:
        return scales
    return np.repeat(scales, group, axis=1)[:, :columns]


def nearest_codes(bounds: Floats) -> Callable[[Floats], NDArray[np.uint8]]:
    """How many bounds are below each number: the code of the nearest value."""

    def codes(numbers: Floats) -> NDArray[np.uint8]:
        return np.searchsorted(bounds, numbers, side="left").astype(np.uint8)

    return codes


def bounds_to_even(values: Floats) -> Floats:
    """The middles between ascending values, at which a number goes to the even code of the two."""
    middles = ((values[1:].astype(np.float64) + values[:-1]) / 2.0).astype(np.float32)
    # a number at a bound counts as below it: lowered by one step, as above
    middles[1::2] = np.nextafter(middles[1::2], np.float32(-np.inf))
    return middles
