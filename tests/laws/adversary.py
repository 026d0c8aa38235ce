"""What a certificate has to withstand: exact deviations in float64, and a search for the worst.

The search is no part of the package: projected gradient ascent on all inputs and starts at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from netdistance.networks.load import Network, State
from tests.cases.networks import in_dtype


def exact_deviation(network: Network, a: State, b: State, inputs: Tensor) -> Tensor:
    """|f_b(x) - f_a(x)| / |f_a(x)| in float64 for each input, (N,)."""
    double = inputs.double()
    before, after = (network(in_dtype(s, torch.float64), double).flatten(1) for s in (a, b))
    deviation: Tensor = (after - before).norm(dim=1) / before.norm(dim=1)
    return deviation


def changed(network: Network, state: State, change: State) -> dict[str, Tensor]:
    """The state in float64 with a change of some first names added."""
    ties, double = network.ties, in_dtype(state, torch.float64)
    moved = {name: double[name] + change[name] for name in change}
    return {name: moved.get(ties.get(name, name), tensor) for name, tensor in double.items()}


def on_sphere(change: State, radii: State) -> dict[str, Tensor]:
    """Each tensor of a change, (members, *shape), scaled to its radius; zeros stay."""
    scaled = {}
    for name, tensor in change.items():
        norms = tensor.flatten(1).norm(dim=1).clamp(min=1e-300)
        scaled[name] = tensor * (radii[name] / norms).view(-1, *[1] * (tensor.ndim - 1))
    return scaled


def starts(state: State, names: Sequence[str], count: int, seed: int) -> dict[str, Tensor]:
    """Where a search begins: a larger copy of each weight, a smaller one, and random changes."""
    generator = torch.Generator().manual_seed(seed)
    result = {}
    for name in names:
        weight = state[name].double()
        noise = torch.randn((count, *weight.shape), generator=generator, dtype=torch.float64)
        noise[0], noise[-1] = weight, -weight
        result[name] = noise
    return result


def search(
    network: Network,
    state: State,
    inputs: Tensor,
    names: Sequence[str],
    level: float,
    *,
    count: int,
    steps: int,
    seed: int = 0,
) -> float:
    """The largest relative deviation over all inputs found by ascent from `count` starts each.

    A step goes along the normalised gradient, from as long as the radius to a hundredth of it, and
    back to the sphere |D_l|_F = level |W_l|_F.
    """
    double, ties = in_dtype(state, torch.float64), network.ties
    members = inputs.double().repeat_interleave(count, 0).unsqueeze(1)  # (inputs x count, 1, ...)
    before = network(double, inputs.double()).flatten(1).detach()
    scale = before.norm(dim=1).repeat_interleave(count)
    before = before.repeat_interleave(count, 0)
    radii = {name: level * double[name].norm() for name in names}
    begun = starts(state, names, count, seed)
    change = on_sphere({n: d.repeat(len(inputs), *[1] * (d.ndim - 1)) for n, d in begun.items()},
                       radii)  # fmt: skip

    def moved(weights: dict[str, Tensor], x: Tensor, reference: Tensor) -> Tensor:
        tied = {name: weights.get(ties.get(name, name), own) for name, own in double.items()}
        out = network(tied, x).flatten()
        return (out - reference).square().sum()

    batched = torch.func.vmap(torch.func.grad_and_value(moved))
    worst = 0.0
    for step in range(steps):
        weights = {name: double[name] + change[name] for name in names}
        gradient, squares = batched(weights, members, before)
        worst = max(worst, float((squares.sqrt() / scale).max()))
        length = 0.01 ** (step / steps)
        ascent = on_sphere(gradient, {name: length * radii[name] for name in names})
        change = on_sphere({name: change[name] + ascent[name] for name in names}, radii)
    return worst
