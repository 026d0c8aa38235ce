"""First-order estimates: what the linearised network does under isotropic noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netdistance.bounds.gradients import NoGradientError, gradients, tracked_outputs
from netdistance.networks.batch import Batch
from netdistance.networks.load import Network, State
from netdistance.probes.deviation import UNDEFINED
from netdistance.quantities import Estimate, Quantity, Skipped

PROBES = 16


@dataclass(frozen=True, slots=True)
class FirstOrder:
    """What unit relative noise on each tensor does to the outputs, to first order, by probe.

    `energies` maps a tensor's name to its probes' estimates of sigma^2 sum_x |df/dW|_F^2 / |f|^2.
    """

    energies: Mapping[str, Tensor]  # (probes,) float64 each
    inputs: int  # those that have a deviation
    skipped: str = ""  # why there is no gradient

    def rms(self, names: Sequence[str]) -> Quantity:
        """The root mean square deviation with independent noise on each named tensor."""
        if names and self.skipped:
            return Skipped(self.skipped)
        if not names:
            return Estimate(0.0, 0.0)
        if self.inputs == 0:
            return Skipped(UNDEFINED)
        squares = torch.stack([self.energies[name] for name in names]).sum(0) / self.inputs
        if not bool(torch.isfinite(squares).all()):
            return Skipped("a gradient is not finite")
        rms = float(squares.mean()) ** 0.5
        spread = float(squares.std(correction=1)) / len(squares) ** 0.5 if len(squares) > 1 else 0.0
        return Estimate(rms, spread / (2.0 * rms) if rms > 0.0 else 0.0)


def first_order(
    network: Network,
    state: State,
    inputs: Batch,
    names: Sequence[str],
    *,
    batch_size: int,
    seed: int,
    probes: int = PROBES,
) -> FirstOrder:
    """The first-order effect of unit relative noise on each named tensor.

    E |df|^2 = sum_l sigma_l^2 |df/dW_l|_F^2 with sigma_l^2 = |W_l|_F^2 / n_l, by Hutchinson:
    |df/dW|_F^2 = E_v |d(v.f)/dW|^2 for v of independent signs. With v_i / |f(x_i)| for input i, one
    backward pass serves the whole batch, since terms of different inputs vanish in the mean. Cost:
    one forward and `probes` backward passes. Source: E1 of docs/concepts/certificates.md.
    """
    generator = torch.Generator().manual_seed(seed)
    leaves = {name: state[name].detach().clone().requires_grad_() for name in names}
    ties = network.ties
    tracked = {name: leaves.get(ties.get(name, name), tensor) for name, tensor in state.items()}
    energies = {name: torch.zeros(probes, dtype=torch.float64) for name in names}
    counted = 0
    try:
        for batch in inputs.split(batch_size) if names else ():
            outputs = tracked_outputs(network, tracked, batch.to(network.device))
            norms = torch.linalg.vector_norm(outputs.detach(), dim=1, keepdim=True)
            usable = torch.isfinite(norms) & (norms > 0)
            counted += int(usable.sum())
            weight = torch.where(usable, 1.0 / norms, 0.0)
            for probe in range(probes):
                signs = torch.randint(0, 2, outputs.shape, generator=generator).mul_(2).sub_(1)
                _add_energies(energies, probe, outputs, signs.to(weight) * weight, leaves)
    except NoGradientError as error:
        return FirstOrder(energies, counted, str(error))
    return FirstOrder(energies, counted)


def _add_energies(
    energies: Mapping[str, Tensor],
    probe: int,
    outputs: Tensor,
    direction: Tensor,
    leaves: Mapping[str, Tensor],
) -> None:
    """Add |W_l|^2 / n_l |d(direction . f)/dW_l|^2 to each tensor's estimate of this probe."""
    found = gradients(outputs, list(leaves.values()), direction, again=True)
    for (name, weight), gradient in zip(leaves.items(), found, strict=True):
        if gradient is not None:
            variance = weight.detach().double().square().mean()
            energies[name][probe] += float(variance * gradient.double().square().sum())


def at_level(unit: Quantity, level: float) -> Quantity:
    """The estimate at a noise level: first order is linear in it."""
    match unit:
        case Estimate(value, stderr):
            return Estimate(value * level, stderr * level)
    return unit
