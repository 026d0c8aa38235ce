"""The largest |f(x) - f(y)| / |x - y| found: a lower bound on what every two inputs can do."""

from __future__ import annotations

import torch
from torch import Tensor

from netdistance.networks.load import Network, State

STEPS = 24
# how far the second input starts, in the norm of the first, along the direction and against it
SIZES = (1e-3, 1e-2, 0.1, 0.3, 1.0)
# nearer pairs, and nearer outputs, would let float64's rounding into the ratio
_LEAST_CHANGE, _LEAST_MOVE = 1e-4, 1e-4


def largest_ratio(
    network: Network, state: State, inputs: Tensor, outputs: Tensor, directions: Tensor
) -> Tensor:
    """The largest |f(x) - f(y)|_2 / |x - y|_2 found for each input x over all y, (N,) float64.

    y starts at x +- size |x| `direction`, the best of these starts climbs the gradient of the
    logarithm of the ratio, in steps from 0.3 to 0.003 of |x - y|, and the best y seen counts. 0
    where no y is far enough from x, and its output from f(x), for float64 to tell a ratio.
    `inputs`, (N, ...), their `outputs`, (N, outputs), unit `directions`, (N, ...), and `state` are
    float64 on the network's device. Cost: 10 forwards, then 24 forwards and backwards, of each x.
    """
    rates = _Rates(network, state, inputs, outputs)
    best, ratio = inputs, torch.zeros(len(inputs), dtype=torch.float64, device=inputs.device)
    for size in (sign * size for size in SIZES for sign in (1.0, -1.0)):
        y = inputs + _each(size * rates.scale, inputs) * directions
        best, ratio = _better(y, rates.of(y), best, ratio)
    y = best
    for step in range(STEPS):
        length = 0.3 * 0.01 ** (step / (STEPS - 1))
        uphill = rates.uphill(y)
        distance = _norms(y - inputs)
        y = y + _each(length * distance, inputs) * uphill
        best, ratio = _better(y, rates.of(y), best, ratio)
    return ratio.cpu()


class _Rates:
    """Ratios and their gradients, for one y to each x."""

    def __init__(self, network: Network, state: State, inputs: Tensor, outputs: Tensor) -> None:
        self.network, self.state, self.inputs, self.outputs = network, state, inputs, outputs
        norms = _norms(inputs)
        self.scale = torch.where(norms > 0, norms, torch.ones_like(norms))  # (N,)

    def of(self, y: Tensor) -> Tensor:
        """The ratio of each pair, (N,); 0 where rounding would enter it."""
        with torch.no_grad():
            moved = _norms(self.network(self.state, y).flatten(1) - self.outputs)
        distance = _norms(y - self.inputs)
        told = distance >= _LEAST_CHANGE * self.scale
        told &= moved >= _LEAST_MOVE * _norms(self.outputs)
        ratio = moved / distance
        return torch.where(told & torch.isfinite(ratio), ratio, torch.zeros_like(ratio))

    def uphill(self, y: Tensor) -> Tensor:
        """The unit gradient of log(|f(x) - f(y)| / |x - y|) in y; 0 where there is none."""
        with torch.enable_grad():
            leaf = y.detach().requires_grad_()
            moved = (self.network(self.state, leaf).flatten(1) - self.outputs).square().sum(1)
            distance = (leaf - self.inputs).flatten(1).square().sum(1)
            rate = (moved.clamp(min=1e-300).log() - distance.clamp(min=1e-300).log()).sum()
            try:
                (gradient,) = torch.autograd.grad(rate, leaf)
            except RuntimeError:  # an operator without a derivative: only the starts count
                return torch.zeros_like(y)
        gradient = torch.nan_to_num(gradient, 0.0, 0.0, 0.0)
        norms = _norms(gradient)
        return gradient / _each(torch.where(norms > 0, norms, torch.ones_like(norms)), gradient)


def _better(y: Tensor, found: Tensor, best: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor]:
    higher = found > ratio
    return torch.where(_each(higher, y), y, best), torch.where(higher, found, ratio)


def _norms(batch: Tensor) -> Tensor:
    norms: Tensor = torch.linalg.vector_norm(batch.flatten(1), dim=1)
    return norms


def _each(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))
