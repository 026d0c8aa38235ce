"""What `train` adds to a report: how a training run ended, and its curve on the way there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from netdistance.quantities import Quantity
from netdistance.report.optional import OPTIONAL

RunStatus = Literal["finished", "diverged"]


@dataclass(frozen=True, slots=True)
class Growth:
    """A norm over what it was at the start: geometric mean, least and most over the weights."""

    mean: Quantity
    least: Quantity
    most: Quantity


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One evaluation of a run. Losses and accuracies are None where not finite or not defined.

    `trust_from_start` and `step_trust` are deep relative trust, a model: of the whole way, and of
    single steps, as a mean over steps measured since the point before and the largest of them.
    """

    step: int
    train_loss: float | None
    train_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None
    trust_from_start: Quantity
    step_trust: Quantity
    largest_step_trust: Quantity
    frobenius_norm: Growth
    largest_singular_value: Growth
    median_singular_value: Growth


@dataclass(frozen=True, slots=True)
class RunRow:
    """One training run. `network` and `curve` are absent from reports of older versions."""

    task: str
    optimizer: str
    lr: float
    depth: int
    width: int
    seed: int
    status: RunStatus
    final: Mapping[str, float | None]
    trust_from_start: Quantity
    network: str | None = field(default=None, metadata=OPTIONAL)
    curve: tuple[CurvePoint, ...] | None = field(default=None, metadata=OPTIONAL)
