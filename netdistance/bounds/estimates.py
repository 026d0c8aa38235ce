"""First-order estimates: what the linearised network does under isotropic noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from netdistance.networks.load import Network, State
from netdistance.probes.deviation import UNDEFINED
from netdistance.quantities import Estimate, Quantity, Skipped

PROBES = 16


def first_order_rms(
    network: Network,
    state: State,
    inputs: Tensor,
    names: Sequence[str],
    *,
    batch_size: int,
    seed: int,
    probes: int = PROBES,
) -> Quantity:
    """The root mean square of the relative deviation at unit relative noise, to first order.

    E |df|^2 = sum_l sigma_l^2 |df/dW_l|_F^2 with sigma_l^2 = |W_l|_F^2 / n_l, by Hutchinson:
    |df/dW|_F^2 = E_v |d(v.f)/dW|^2 for v of independent signs. With v_i / |f(x_i)| for input i, one
    backward pass serves the whole batch, since terms of different inputs vanish in the mean.
    Multiply by the noise level. Cost: `probes` forward and backward passes. Source: E1 of
    docs/concepts/certificates.md.
    """
    generator = torch.Generator().manual_seed(seed)
    leaves = {name: state[name].detach().clone().requires_grad_() for name in names}
    ties = network.ties
    tracked = {name: leaves.get(ties.get(name, name), tensor) for name, tensor in state.items()}
    totals = torch.zeros(probes, dtype=torch.float64)
    counted = 0
    for batch in torch.split(inputs, batch_size):
        outputs = network(tracked, batch.to(network.device)).flatten(1)
        norms = torch.linalg.vector_norm(outputs.detach(), dim=1, keepdim=True)
        usable = torch.isfinite(norms) & (norms > 0)
        counted += int(usable.sum())
        weight = torch.where(usable, 1.0 / norms, 0.0)
        for probe in range(probes):
            signs = torch.randint(0, 2, outputs.shape, generator=generator).mul_(2).sub_(1)
            totals[probe] += _noise_energy(outputs, signs.to(weight) * weight, leaves)
    if counted == 0 or not bool(torch.isfinite(totals).all()):
        return Skipped(UNDEFINED)
    squares = totals / counted
    rms = float(squares.mean()) ** 0.5
    spread = float(squares.std(correction=1)) / probes**0.5 if probes > 1 else 0.0
    return Estimate(rms, spread / (2.0 * rms) if rms > 0.0 else 0.0)


def _noise_energy(outputs: Tensor, direction: Tensor, leaves: dict[str, Tensor]) -> float:
    """sum_l |W_l|^2 / n_l |d(direction . f)/dW_l|^2."""
    if not outputs.requires_grad:
        return 0.0
    gradients = torch.autograd.grad(
        outputs, list(leaves.values()), direction, retain_graph=True, allow_unused=True
    )
    return sum(
        float(weight.detach().double().square().mean() * gradient.double().square().sum())
        for weight, gradient in zip(leaves.values(), gradients, strict=True)
        if gradient is not None
    )


def at_level(unit: Quantity, level: float) -> Quantity:
    """The estimate at a noise level: first order is linear in it."""
    match unit:
        case Estimate(value, stderr):
            return Estimate(value * level, stderr * level)
    return unit
