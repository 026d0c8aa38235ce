"""What every compression scheme offers: stored parts, the numbers that they mean, their bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Parts = Mapping[str, NDArray[Any]]
Shape = tuple[int, ...]


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
