"""What `width` adds to a report: how far a network may move, and the curvature of its loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from netdistance.quantities import Quantity
from netdistance.report.optional import OPTIONAL, for_none

Directions = Literal["random", "worst"]
Criterion = Literal["loss", "accuracy"]
EVERY_LAYER = "all together"
ALL_TOGETHER = for_none(EVERY_LAYER)


@dataclass(frozen=True, slots=True)
class WidthRow:
    """How far a layer, or every layer together, may move before a criterion fails.

    `layer` is None for all of them. `radius` is the relative size |D|_F / |W|_F of the move of each
    tensor: random, a geometric mean over draws with quantiles over them ("0.0" the smallest) and
    its 95% confidence `interval`; worst, the smallest that was found, an upper end of the smallest
    there is. The criterion fails where the loss has risen, or the accuracy has fallen, by more than
    `tolerance`.
    """

    directions: Directions
    layer: str | None = field(metadata=ALL_TOGETHER)
    tolerance: float
    radius: Quantity
    criterion: Criterion
    quantiles: Mapping[str, float] = field(default_factory=dict)
    interval: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Curvature:
    """Of the Hessian of the mean loss in all `parameters` of a network.

    An interval of `top_eigenvalues` contains an eigenvalue. `relative_trace` is the expectation of
    z'Hz where z moves each tensor by its own norm: twice the rise of the loss per squared level.
    """

    parameters: int
    top_eigenvalues: tuple[Quantity, ...]
    trace: Quantity
    relative_trace: Quantity


@dataclass(frozen=True, slots=True)
class WidthRatio:
    """The radius of b over that of a, in the same directions."""

    directions: Directions
    layer: str | None = field(metadata=ALL_TOGETHER)
    value: Quantity
    interval: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Against:
    """The same of a second checkpoint, b, and how much wider it is than the first, a."""

    reference_loss: Quantity
    reference_accuracy: Quantity
    width: tuple[WidthRow, ...]
    ratio: tuple[WidthRatio, ...]
    curvature: Curvature | None = field(default=None, metadata=OPTIONAL)
