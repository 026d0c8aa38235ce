"""Layerwise relative Gaussian noise: every tensor moves by the same fraction of its norm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from netdistance.networks.load import Network, State
from netdistance.report.document import Scope


def perturbed_names(
    network: Network, state: State, scope: Scope, layers: Sequence[str] = ()
) -> tuple[str, ...]:
    """The parameters that noise moves: those with two or more axes, or all of them.

    Where there are globs in `layers`, only what one of them matches, under any of its names.
    """
    names: dict[str, list[str]] = {}
    for name, first in network.ties.items():
        names.setdefault(first, []).append(name)
    return tuple(
        name
        for name in network.parameters
        if (scope == "all" or state[name].ndim >= 2)
        and (not layers or any(fnmatchcase(n, glob) for n in names[name] for glob in layers))
    )


def unit_noise(state: State, names: Sequence[str], *, seed: int) -> dict[str, Tensor]:
    """Gaussian noise with the norm of each tensor: |noise_l|_F = |W_l|_F, drawn on the CPU.

    Scaled by a level it is noise of exactly that relative size. The draw of a tensor depends on
    the seed and its place among `names` alone, so that a GPU sees the same noise.
    """
    generator = torch.Generator().manual_seed(seed)
    noise: dict[str, Tensor] = {}
    for name in names:
        weight = state[name]
        draw = torch.randn(weight.shape, generator=generator, dtype=torch.float32)
        norm, target = (
            float(torch.linalg.vector_norm(t, dtype=torch.float64)) for t in (draw, weight)
        )
        wide = draw.to(torch.promote_types(draw.dtype, weight.dtype))
        noise[name] = wide.mul_(target / norm if norm else 0.0).to(weight.device, weight.dtype)
    return noise


def moved(network: Network, state: State, change: Mapping[str, Tensor], scale: float) -> State:
    """The state with `scale` times the change added, tied tensors together; the state is kept."""
    ties = network.ties
    return {
        name: tensor.add(change[ties.get(name, name)], alpha=scale)
        if ties.get(name, name) in change
        else tensor
        for name, tensor in state.items()
    }
