"""The mean loss of a network over labelled inputs, its slope and its second derivative."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from netdistance.bounds.gradients import gradients, require_again, tracked_outputs
from netdistance.errors import InputError
from netdistance.networks.batch import Batch, in_float64
from netdistance.networks.load import Network, State
from netdistance.probes.deviation import (
    IGNORED,
    fraction,
    hits,
    mean_over_inputs,
    require_classes,
    require_repeatable,
    run,
)
from netdistance.probes.noise import moved
from netdistance.probes.output_measures import cross_entropy, require_one_label, score_shape
from netdistance.quantities import Quantity


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a network fits its labels: mean cross entropy in nats, and how many are right."""

    loss: float
    hits: int


@dataclass(frozen=True, slots=True)
class MeanLoss:
    """Cross entropy in nats, the mean over the inputs whose label counts, as the weights move."""

    network: Network
    state: State
    inputs: Batch  # (N, ...)
    targets: Tensor  # (N,) int64, -100 where a label does not count
    batch_size: int

    @classmethod
    def of(
        cls, network: Network, state: State, inputs: Batch, targets: Tensor, *, batch_size: int
    ) -> MeanLoss:
        """The loss, once the network has run.

        Raises:
            InputError: an output is not one row of scores, a label is none of its classes, the
                forward is random, or the loss is not finite.
        """
        outputs = run(network, state, inputs, batch_size=batch_size)
        require_repeatable(network, state, inputs, outputs)
        require_one_label(score_shape(network, state, inputs), targets, network.name)
        require_classes(targets, outputs)
        if not bool(torch.isfinite(outputs).all()):
            what = "an output is not finite, and so is the loss that a move would raise"
            raise InputError(f"{network.name}: {what}; give finite weights")
        return cls(network, state, inputs, targets, batch_size)

    @property
    def counted(self) -> int:
        """How many inputs have a label that counts."""
        return int((self.targets != IGNORED).sum())

    def reference(self) -> tuple[Quantity, Quantity]:
        """Loss and accuracy of the network as it is; their standard errors are over inputs."""
        outputs = run(self.network, self.state, self.inputs, batch_size=self.batch_size)
        labelled = self.targets != IGNORED
        terms = cross_entropy(outputs, self.targets.clamp_min(0)).cpu()[labelled]
        return mean_over_inputs(terms), fraction(hits(outputs, self.targets)[labelled])

    def at(self, change: Mapping[str, Tensor], level: float) -> Fit:
        """The fit where `level` times the change is added to the weights; NaN loss stays NaN."""
        state = moved(self.network, self.state, change, level) if level else self.state
        total, right = 0.0, 0
        with torch.inference_mode():
            for batch, labels in self._batches():
                outputs = self.network(state, batch.to(self.network.device)).flatten(1)
                total += float(_summed(outputs, labels))
                right += int(hits(outputs, labels).sum())
        return Fit(total / self.counted, right)

    def slope(
        self, change: Mapping[str, Tensor], level: float, names: Sequence[str]
    ) -> dict[str, Tensor]:
        """The gradient of the mean loss by each named parameter, there; 0 where it has no part.

        Raises:
            NoGradientError: the network cannot be differentiated.
        """
        leaves = {
            name: self.state[name].detach().clone().add_(change[name], alpha=level).requires_grad_()
            if name in change
            else self.state[name].detach().clone().requires_grad_()
            for name in names
        }
        sums = {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
        for loss in self._tracked(leaves):
            found = gradients(loss, list(leaves.values()))
            for name, gradient in zip(names, found, strict=True):
                if gradient is not None:
                    sums[name] += gradient.detach()
        return sums

    def hessian_product(self, direction: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """H v for the Hessian of the mean loss in the parameters that `direction` v names.

        By a backward pass through the gradient (Pearlmutter 1994), a batch at a time. At a kink, as
        that of ReLU, it is what torch takes there: 0.

        Raises:
            NoGradientError: the network cannot be differentiated twice.
        """
        leaves = {name: self.state[name].detach().clone().requires_grad_() for name in direction}
        sums = {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
        for loss in self._tracked(leaves):
            first = gradients(loss, list(leaves.values()), differentiable=True)
            require_again(first)
            inner = torch.zeros((), dtype=loss.dtype, device=loss.device)
            for gradient, vector in zip(first, direction.values(), strict=True):
                inner = inner if gradient is None else inner + (gradient * vector).sum()
            if not inner.requires_grad:  # no parameter has a part in the outputs
                continue
            found = gradients(inner, list(leaves.values()))
            for name, gradient in zip(leaves, found, strict=True):
                if gradient is not None:
                    sums[name] += gradient.detach()
        return sums

    def in_float64(self) -> MeanLoss:
        """The same, every number in float64."""
        state = {n: v.double() if v.is_floating_point() else v for n, v in self.state.items()}
        return replace(self, state=state, inputs=in_float64(self.inputs))

    def _batches(self) -> Iterator[tuple[Batch, Tensor]]:
        for start in range(0, len(self.inputs), self.batch_size):
            part = slice(start, start + self.batch_size)
            yield self.inputs[part], self.targets[part]

    def _tracked(self, leaves: Mapping[str, Tensor]) -> Iterator[Tensor]:
        """The part of each batch in the mean loss, 0-D, with its graph to the leaves."""
        ties = self.network.ties
        state = {name: leaves.get(ties.get(name, name), t) for name, t in self.state.items()}
        for batch, labels in self._batches():
            with torch.enable_grad():
                outputs = tracked_outputs(self.network, state, batch.to(self.network.device))
                yield _summed(outputs, labels) / self.counted


def _summed(outputs: Tensor, labels: Tensor) -> Tensor:
    """The sum of the cross entropies of (N, C) scores at labels (N,), 0-D float64."""
    counted = (labels != IGNORED).to(outputs.device)
    terms = cross_entropy(outputs, labels.clamp_min(0))
    return torch.where(counted, terms, torch.zeros_like(terms)).sum()
