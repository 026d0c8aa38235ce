"""What `gradients` adds to a report: how the gradient and the loss change along a move."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from netdistance.quantities import Quantity
from netdistance.report.bound_row import BoundRow
from netdistance.report.optional import OPTIONAL

# down the gradient, random noise, and from a to b
Move = Literal["step", "noise", "pair"]


@dataclass(frozen=True, slots=True)
class TensorGradient:
    """One moved tensor: |D|_F / |W|_F as it was realised, and |g' - g|_F / |g|_F.

    g is the gradient of the mean loss by this tensor, g' the same where all of them have moved;
    under noise, means over draws. `loss` is there for a step: where this tensor alone moves.
    """

    tensor: str
    relative_step: Quantity
    gradient_change: Quantity
    loss: Quantity | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True)
class GradientPoint:
    """A move of one size: the relative step of every tensor, or for a pair the t of a + t(b - a).

    `gradient_change` is the largest of the tensors'; under noise the mean over draws of it. `loss`
    is the mean cross entropy where all tensors have moved. In `bounds`, `deep_relative_trust` has
    the unit of `gradient_change`; `loss_change`, of loss minus the starting loss, is in nats.
    """

    move: Move
    size: float
    gradient_change: Quantity
    loss: Quantity
    bounds: tuple[BoundRow, ...]
    tensors: tuple[TensorGradient, ...]

    @property
    def trust(self) -> BoundRow:
        """Deep relative trust of the realised steps."""
        return next(row for row in self.bounds if row.name == "deep_relative_trust")

    @property
    def loss_change(self) -> BoundRow | None:
        """What Lemma 1 allows; None under noise."""
        return next((row for row in self.bounds if row.name == "loss_change"), None)


@dataclass(frozen=True, slots=True)
class Descent:
    """How far the loss falls along a move, as it is modelled and as it was measured.

    `smallest_cosine` is over the moved tensors, of the angle between the move and -g. The one row
    of `bounds`, `max_relative_step`, is the relative step of the tensor that moves most.
    """

    move: Move
    smallest_cosine: Quantity
    bounds: tuple[BoundRow, ...]

    @property
    def max_relative_step(self) -> BoundRow:
        """What Lemma 2 allows, beside what was measured."""
        return next(row for row in self.bounds if row.name == "max_relative_step")
