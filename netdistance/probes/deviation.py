"""How far the outputs move: |f~(x) - f(x)|_2 / |f(x)|_2 for each input x, by running both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netdistance.errors import InputError
from netdistance.networks.batch import Batch
from netdistance.networks.load import Network, State
from netdistance.quantities import Estimate, Exact, Quantity, Skipped

QUANTILES = (0.5, 0.9, 1.0)


def run(network: Network, state: State, inputs: Batch, *, batch_size: int) -> Tensor:
    """The outputs for all inputs, flattened to (N, outputs), on the network's device."""
    with torch.inference_mode():
        parts = [
            network(state, batch.to(network.device)).flatten(1)
            for batch in inputs.split(batch_size)
        ]
    return torch.cat(parts)


# a forward may differ from itself by this much, relative: other batch sizes round otherwise
_REPEATABLE = 1e-3
_REPEATED_INPUTS = 16


def require_repeatable(network: Network, state: State, inputs: Batch, outputs: Tensor) -> None:
    """Check that the network gives `outputs` again: all that is measured is a difference to them.

    Raises:
        InputError: its forward is random.
    """
    few = inputs[:_REPEATED_INPUTS]
    # in other company: an output that depends on the rest of its batch is no output of its input
    again = run(network, state, few, batch_size=max(1, len(few) // 2)).double()
    first = outputs[: len(few)].double()
    if bool(((again - first).norm(dim=1) > _REPEATABLE * first.norm(dim=1)).any()):
        raise InputError(
            f"{network.name}: gives other outputs for the same inputs, at random or with other "
            "inputs beside them, so that a deviation would measure that; make the forward "
            "deterministic in eval mode, and each output that of its own input"
        )


@dataclass(frozen=True, slots=True)
class Reference:
    """The outputs of the unchanged network, which every deviation is relative to."""

    outputs: Tensor  # (N, outputs)
    norms: Tensor  # (N,) float64

    @classmethod
    def of(cls, outputs: Tensor) -> Reference:
        """The reference that these outputs make."""
        norms: Tensor = torch.linalg.vector_norm(outputs, dim=1, dtype=torch.float64)
        return cls(outputs, norms)

    @property
    def usable(self) -> Tensor:
        """Which inputs have a deviation: those whose output is finite and not zero, (N,) bool."""
        return torch.isfinite(self.norms) & (self.norms > 0)

    def first(self, inputs: int) -> Reference:
        """The reference on the first few inputs."""
        return Reference(self.outputs[:inputs], self.norms[:inputs])

    def deviation(self, outputs: Tensor) -> Tensor:
        """The relative deviation of each input, (N,) float64.

        NaN where the reference has none; infinite where the changed output is not finite.
        """
        moved = outputs.double() - self.outputs.double()
        relative: Tensor = torch.linalg.vector_norm(moved, dim=1) / self.norms
        relative = torch.where(torch.isfinite(relative), relative, torch.inf)
        return torch.where(self.usable, relative, torch.nan)


def quantiles(deviation: Tensor) -> dict[str, float]:
    """The quantiles of every defined deviation, "1.0" the largest; none where one is infinite."""
    if isinstance(_defined(deviation), Skipped):
        return {}
    values = deviation[~torch.isnan(deviation)].sort().values
    # nearest rank from above: torch.quantile refuses more than 16 million numbers
    ranks = (max(0, -int(-q * values.numel() // 1) - 1) for q in QUANTILES)
    return {str(q): float(values[rank]) for q, rank in zip(QUANTILES, ranks, strict=True)}


def largest(deviation: Tensor) -> Exact | Skipped:
    """The largest deviation that was seen."""
    values = _defined(deviation)
    return values if isinstance(values, Skipped) else Exact(float(values.max()))


UNDEFINED = "no input has a finite, non-zero output to be relative to"


def _defined(deviation: Tensor) -> Tensor | Skipped:
    """The deviations of inputs that have one, or why a number over them would hide something."""
    values = deviation[~torch.isnan(deviation)]
    if values.numel() == 0:
        return Skipped(UNDEFINED)
    if infinite := int(torch.isinf(values).sum()):
        return Skipped(f"{infinite} of {values.numel()} changed outputs are not finite")
    return values


def over_draws(draws: Sequence[Tensor], *, power: int = 1) -> Quantity:
    """The mean (`power` 1) or root mean square (2) over draws and inputs; its error is over draws.

    Each draw is the (N,) deviation of one perturbed network. One draw has no standard error.
    """
    every = _defined(torch.cat(list(draws)))
    if isinstance(every, Skipped):
        return every
    # the same inputs have a deviation in every draw
    means = torch.stack([draw[~torch.isnan(draw)].pow(power).mean() for draw in draws])
    value = float(means.mean())
    spread = float(means.std(correction=1)) if len(draws) > 1 else 0.0
    stderr = spread / len(draws) ** 0.5
    if power == 1 or value == 0.0:
        return Estimate(value, stderr)
    root = value ** (1.0 / power)
    # first order: the error of the root is the error divided by the root's slope
    return Estimate(root, stderr * root / (power * value))


def mean_over_inputs(deviation: Tensor) -> Quantity:
    """The mean over the inputs that have a deviation; its standard error is over inputs."""
    values = _defined(deviation)
    if isinstance(values, Skipped):
        return values
    spread = float(values.std(correction=1)) if values.numel() > 1 else 0.0
    return Estimate(float(values.mean()), spread / values.numel() ** 0.5)


def agreement(outputs_a: Tensor, outputs_b: Tensor) -> Quantity:
    """The fraction of inputs whose largest output is the same; skipped where there is only one.

    An output that is not finite is the same as none.
    """
    if outputs_a.shape[1] < 2:
        return Skipped("the network has one output: there is no top-1 class")
    return fraction(same_top1(outputs_a, outputs_b))


def top1(scores: Tensor) -> Tensor:
    """The class of the largest score over the last axis; -1 where a score is not finite."""
    return torch.where(torch.isfinite(scores).all(dim=-1), scores.argmax(-1), -1)


def same_top1(a: Tensor, b: Tensor) -> Tensor:
    """Whether both have an answer, over the last axis, and it is the same; bool."""
    first = top1(a)
    return (first == top1(b)) & (first >= 0)


# the label of what does not count, as in torch.nn.functional.cross_entropy
IGNORED = -100


def require_classes(targets: Tensor, outputs: Tensor) -> None:
    """Check that every label is the number of an output, or -100, which does not count.

    Raises:
        InputError: a label is out of range, none counts, or there is one output only.
    """
    classes, labels = outputs.shape[1], targets[targets != IGNORED]
    if classes < 2:
        raise InputError("--targets: the network has one output, and labels need two or more")
    if not len(labels):
        raise InputError(f"--targets: every label is {IGNORED}, which does not count")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise InputError(
            f"--targets: labels from {low} to {high}, expected 0 to {classes - 1}, one per output "
            f"({IGNORED}: does not count)"
        )


def hits(outputs: Tensor, targets: Tensor) -> Tensor:
    """Whether the largest output of each input is at its label, (N,) bool on the CPU."""
    return top1(outputs).cpu() == targets


def fraction(hits: Tensor) -> Quantity:
    """The fraction of true entries of (N,), with its binomial standard error over inputs."""
    share = float(hits.double().mean())
    return Estimate(share, (share * (1.0 - share) / hits.numel()) ** 0.5)
