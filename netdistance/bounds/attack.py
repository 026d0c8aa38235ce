"""The worst perturbation found: a lower bound on what a ball or box of weight changes can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from netdistance.bounds.gradients import gradients, tracked_outputs
from netdistance.networks.batch import Batch
from netdistance.networks.load import Network, State
from netdistance.probes.deviation import Reference
from netdistance.probes.noise import Noise, unit_noise

STEPS = 12


def worst_found(
    network: Network,
    state: State,
    reference: Reference,
    inputs: Batch,
    names: Sequence[str],
    noise: Noise,
    *,
    seed: int,
    steps: int = STEPS,
) -> Tensor:
    """The largest relative deviation found for each input, (N,) float64; NaN where undefined.

    For each input by itself, maximise |f(x; W + D) - f(x; W)|^2 over the noise's region by
    conditional gradient steps: D_l <- radius_l g_l / |g_l| in a ball, D_l <- r_l sign(g_l) in a
    box. Every iterate lies on the sphere, or in a corner; on a linear network (a convex objective)
    no step descends. The best iterate counts. Cost: `steps` forward and backward passes of one
    input, for each input.

    Raises:
        NoGradientError: the network gives no gradient to follow.
    """
    extents = {name: noise.scale * noise.unit.extent(state[name]) for name in names}
    found = torch.zeros(len(inputs), dtype=torch.float64)
    if not names:  # nothing moves
        return torch.where(reference.usable.cpu(), found, torch.nan)
    for index in range(len(inputs)):
        one = Reference(reference.outputs[index : index + 1], reference.norms[index : index + 1])
        batch = inputs[index : index + 1].to(network.device)
        found[index] = _ascend(network, state, one, batch, noise, extents, seed + index, steps)
    return found


def _ascend(
    network: Network,
    state: State,
    reference: Reference,
    batch: Batch,
    noise: Noise,
    extents: Mapping[str, Tensor],
    seed: int,
    steps: int,
) -> float:
    if not bool(reference.usable.all()):
        return float("nan")
    names = tuple(extents)
    drawn = unit_noise(state, names, noise.unit, seed=seed)
    change = {name: noise.scale * draw for name, draw in drawn.items()}
    ties, best = network.ties, 0.0
    for _ in range(steps):
        leaves = {name: (state[name] + change[name]).requires_grad_() for name in names}
        moved = {name: leaves.get(ties.get(name, name), tensor) for name, tensor in state.items()}
        outputs = tracked_outputs(network, moved, batch)
        deviation = float(reference.deviation(outputs.detach()))
        # at the edge of float32 a perturbed network may overflow: that is no finite deviation
        best = max(best, deviation) if deviation < float("inf") else best
        loss = (outputs - reference.outputs).square().sum()
        slopes = gradients(loss, list(leaves.values()))
        for name, gradient in zip(names, slopes, strict=True):
            farther = None if gradient is None else noise.unit.ascend(extents[name], gradient)
            change[name] = change[name] if farther is None else farther
    return best
