"""How far a gradient at the weights of a network is from the gradient where they have moved."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from netdistance.bounds.gradients import NoGradientError
from netdistance.errors import InputError
from netdistance.networks.load import State
from netdistance.probes.crossing import LEAST, MOST, first_crossing
from netdistance.probes.mean_loss import MeanLoss
from netdistance.probes.minimum_width import Change
from netdistance.probes.noise import RELATIVE_GAUSSIAN
from netdistance.quantities import Exact, Quantity, Skipped
from netdistance.report.wording import percent


@dataclass(frozen=True, slots=True)
class Motion:
    """One tensor that moved by D, to the last bit of its dtype: norms and a product in float64."""

    weight: float  # |W|_F
    gradient: float  # |g|_F at W
    step: float  # |D|_F
    inner: float  # <D, g>
    change: float  # |g' - g|_F, g' where every tensor has moved

    @property
    def relative_step(self) -> Quantity:
        """|D|_F / |W|_F."""
        if self.weight == 0.0:
            still = "and stays" if self.step == 0.0 else "and moves"
            return Skipped(f"the tensor is zero {still}: a zero has no scale of its own")
        return _finite(self.step / self.weight, "the move is not finite")

    @property
    def gradient_change(self) -> Quantity:
        """|g' - g|_F / |g|_F."""
        if self.gradient == 0.0:
            return Skipped("the gradient is zero: no change is relative to it")
        if not math.isfinite(self.gradient):
            return Skipped("the gradient is not finite")
        return _finite(self.change / self.gradient, "the gradient there is not finite")

    @property
    def cosine(self) -> Quantity:
        """Of the angle between D and -g."""
        if self.gradient == 0.0:
            return Skipped("the gradient of a tensor is zero: it has no angle")
        cosine = -self.inner / self.step / self.gradient if self.step else math.nan
        if not math.isfinite(cosine):
            return Skipped("a move or a gradient is not finite")
        return Exact(max(-1.0, min(1.0, cosine)))  # rounding can carry it past 1


def _finite(value: float, reason: str) -> Quantity:
    return Exact(value) if math.isfinite(value) else Skipped(reason)


@dataclass(frozen=True, slots=True)
class Moved:
    """A move of one size: what every tensor did, and the loss there, NaN where it is not finite."""

    loss: float
    tensors: Mapping[str, Motion]


@dataclass(frozen=True, slots=True)
class Start:
    """Where a move begins: the loss of a network, and its gradient by the tensors that move."""

    loss: MeanLoss
    value: float
    gradient: Change

    @classmethod
    def of(cls, loss: MeanLoss, names: tuple[str, ...]) -> Start:
        """The start, once the gradient is known.

        Raises:
            InputError: the network cannot be differentiated.
        """
        try:
            gradient = loss.slope({}, 0.0, names)
        except NoGradientError as error:
            raise InputError(f"{loss.network.name}: {error}, and gradients needs one") from error
        return cls(loss, loss.at({}, 0.0).loss, gradient)

    def downhill(self) -> Change:
        """-|W_l|_F g_l / |g_l|_F of each tensor, the step of Fromage at learning rate 1.

        A tensor whose gradient is zero or not finite stays.
        """
        found: dict[str, Tensor] = {}
        for name, gradient in self.gradient.items():
            extent = RELATIVE_GAUSSIAN.extent(self.loss.state[name])
            uphill = RELATIVE_GAUSSIAN.ascend(extent, gradient)
            found[name] = torch.zeros_like(gradient) if uphill is None else uphill.neg()
        return found

    def toward(self, state: State) -> Change:
        """The difference of each tensor to that of another state, b - a."""
        return {name: state[name] - self.loss.state[name] for name in self.gradient}

    def moved(self, change: Change, level: float) -> Moved:
        """What `level` times the change does to the loss, and to the gradient by each tensor."""
        there = self.loss.slope(change, level, tuple(self.gradient))
        motions = {
            name: self._motion(name, change[name], level, gradient)
            for name, gradient in there.items()
        }
        return Moved(self.loss.at(change, level).loss, motions)

    def _motion(self, name: str, change: Tensor, level: float, there: Tensor) -> Motion:
        weight, gradient = self.loss.state[name], self.gradient[name].double()
        step = weight.add(change, alpha=level).double() - weight.double()
        return Motion(
            weight=norm(weight),
            gradient=norm(gradient),
            step=norm(step),
            inner=float((step * gradient).sum()),
            change=norm(there.double() - gradient),
        )

    def falls_until(self, change: Change) -> Quantity:
        """The level, going up along a ray, up to which the loss was found below the start.

        Levels are tried as for a radius of `minimum_width`: from 0.0001 up to 10, four a decade,
        then closed in on, to 0.01%. A rise and fall between two of them is not seen.
        """

        def excess(level: float) -> float:
            rise = self.loss.at(change, level).loss - self.value
            # a loss that is the same, or NaN, is not lower
            return math.inf if math.isnan(rise) or rise == 0.0 else rise

        level = first_crossing(excess)
        if level == 0.0:
            return Skipped(f"the loss is no lower at {percent(LEAST)}, the smallest step tried")
        if level == math.inf:
            return Skipped(f"the loss is lower up to {100 * MOST:.0f}%, the largest step tried")
        return Exact(level)


def norm(tensor: Tensor) -> float:
    """|tensor|_F, summed in float64."""
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float64))
