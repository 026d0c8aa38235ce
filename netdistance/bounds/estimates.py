"""First-order estimates: what the linearised network does under noise of independent elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netdistance.bounds.gradients import NoGradientError, gradients, tracked, tracked_outputs
from netdistance.networks.batch import Batch
from netdistance.networks.load import Network, State
from netdistance.probes.deviation import UNDEFINED
from netdistance.probes.noise import RELATIVE_GAUSSIAN, UnitNoise
from netdistance.quantities import Estimate, Exact, Quantity, Skipped

PROBES = 16
# a unit noise, and the name of the tensor it is on
Place = tuple[UnitNoise, str]


@dataclass(frozen=True, slots=True)
class FirstOrder:
    """What unit noise on each tensor does to the outputs, to first order, by probe.

    `energies` maps a unit noise and a tensor's name to its probes' estimates of
    sum_x sum_i sigma_i^2 |df/dW_i|^2 / |f|^2, with sigma_i^2 the variance of element i.
    """

    energies: Mapping[Place, Tensor]  # (probes,) float64 each
    inputs: int  # those that have a deviation
    skipped: str = ""  # why there is no gradient

    def rms(self, names: Sequence[str], unit: UnitNoise = RELATIVE_GAUSSIAN) -> Quantity:
        """The root mean square deviation with independent unit noise on each named tensor."""
        if names and self.skipped:
            return Skipped(self.skipped)
        if not names:
            return Estimate(0.0, 0.0)
        if self.inputs == 0:
            return Skipped(UNDEFINED)
        squares = torch.stack([self.energies[unit, name] for name in names]).sum(0) / self.inputs
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
    units: Sequence[UnitNoise] = (RELATIVE_GAUSSIAN,),
    *,
    batch_size: int,
    seed: int,
    probes: int = PROBES,
) -> FirstOrder:
    """The first-order effect of each unit noise on each named tensor.

    E |df|^2 = sum_i sigma_i^2 |df/dW_i|^2 with sigma_i^2 the variance of element i, by Hutchinson:
    |df/dW_i|^2 = E_v (d(v.f)/dW_i)^2 for v of independent signs. With v_i / |f(x_i)| for input i,
    one backward pass serves the whole batch, since terms of different inputs vanish in the mean.
    Cost: one forward and `probes` backward passes, whatever the number of noises. Source: E1 of
    docs/concepts/certificates.md.
    """
    generator = torch.Generator().manual_seed(seed)
    leaves, moving = tracked(network, state, names)
    extents = {(unit, name): unit.extent(state[name]) for unit in units for name in names}
    energies = {place: torch.zeros(probes, dtype=torch.float64) for place in extents}
    counted = 0
    try:
        for batch in inputs.split(batch_size) if names else ():
            outputs = tracked_outputs(network, moving, batch.to(network.device))
            norms = torch.linalg.vector_norm(outputs.detach(), dim=1, keepdim=True)
            usable = torch.isfinite(norms) & (norms > 0)
            counted += int(usable.sum())
            weight = torch.where(usable, 1.0 / norms, 0.0)
            for probe in range(probes):
                signs = torch.randint(0, 2, outputs.shape, generator=generator).mul_(2).sub_(1)
                reached = _slopes(outputs, signs.to(weight) * weight, leaves)
                _add_energies(energies, extents, probe, reached)
    except NoGradientError as error:
        return FirstOrder(energies, counted, str(error))
    return FirstOrder(energies, counted)


def _slopes(outputs: Tensor, direction: Tensor, leaves: Mapping[str, Tensor]) -> State:
    """d(direction . outputs)/dW of each leaf that has a part in them."""
    found = gradients(outputs, list(leaves.values()), direction, again=True)
    return {n: g for n, g in zip(leaves, found, strict=True) if g is not None}


def _add_energies(
    energies: Mapping[Place, Tensor], extents: Mapping[Place, Tensor], probe: int, slopes: State
) -> None:
    """Add what each unit noise on each tensor does to this probe's estimates."""
    for (unit, name), extent in extents.items():
        if name in slopes:
            energies[unit, name][probe] += float(unit.energy(extent, slopes[name]))


def at_level(unit: Quantity, level: float) -> Quantity:
    """The estimate at a noise level: first order is linear in it."""
    match unit:
        case Estimate(value, stderr):
            return Estimate(value * level, stderr * level)
        case Exact(value):
            return Exact(value * level)
    return unit
