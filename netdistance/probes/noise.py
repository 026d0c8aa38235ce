"""Noise in the weights of one network: how far each tensor may move, and how a move is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

import torch
from torch import Tensor

from netdistance.errors import UsageError
from netdistance.linalg.weight_norm import WeightNorms
from netdistance.networks.affine import Norms
from netdistance.networks.change import Change
from netdistance.networks.load import Network, State
from netdistance.probes.relative_gaussian import RelativeGaussian
from netdistance.quantities import Skipped
from netdistance.report.document import Scope


class UnitNoise(Protocol):
    """Noise of scale 1: a region around every tensor, and a distribution in it.

    How far a tensor can go is its extent, computed once: one number for a ball, a number for each
    element for a box. A region grows in proportion to its extents.
    """

    def scopes(self, asked: tuple[Scope, ...]) -> tuple[Scope, ...]:
        """The scopes to measure where these are asked for; none of them twice the same tensors."""

    def extent(self, weight: Tensor) -> Tensor:
        """How far a tensor can go, on its device, in float32 or wider."""

    def draw(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """A random change of a tensor, of its device and dtype, with numbers drawn on the CPU."""

    def ascend(self, extent: Tensor, gradient: Tensor) -> Tensor | None:
        """The change <= extent of the largest inner product with the gradient.

        None where the gradient is zero or not finite.
        """

    def energy(self, extent: Tensor, gradient: Tensor) -> Tensor:
        """E (sum_i g_i D_i)^2 of a random change D of independent elements; 0-D, float64."""

    def farthest(self, weight: Tensor) -> float:
        """The largest |D|_F / |W|_F, 0 where the tensor stays; NaN if the weight is not finite."""

    def reach(self, weight: Tensor, norms: WeightNorms) -> WeightNorms | Skipped:
        """The largest operator and Frobenius norms of a change of a float64 weight on the CPU.

        `norms` are the weight's own. Operators are those of `linalg.weight_norm`.
        """

    def change(
        self, norms: Norms, scale: float, names: Sequence[str], ties: Mapping[str, str]
    ) -> Change:
        """What a certificate has to cover: every change of the named tensors at a scale."""

    def describe(self, scale: float, scope: Scope) -> str:
        """The region at a scale, in words."""


@dataclass(frozen=True, slots=True)
class Noise:
    """A level of noise as the user spelled it: `scale` times the unit noise."""

    text: str
    unit: UnitNoise
    scale: float = 1.0

    def sizes(self, state: State, names: Sequence[str]) -> dict[str, float]:
        """The farthest relative Frobenius change of each named tensor."""
        return {name: self.scale * self.unit.farthest(state[name]) for name in names}

    def change(self, norms: Norms, names: Sequence[str], ties: Mapping[str, str]) -> Change:
        """What a certificate has to cover: every change of the named tensors."""
        return self.unit.change(norms, self.scale, names, ties)


def relative(level: float, text: str = "") -> Noise:
    """Gaussian noise that moves every tensor by `level` of its Frobenius norm."""
    return Noise(text or f"{level:g}", RELATIVE_GAUSSIAN, level)


RELATIVE_GAUSSIAN: UnitNoise = RelativeGaussian()


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


def require_matched(network: Network, state: State, layers: Sequence[str]) -> None:
    """Check that the globs of `layers`, where there are any, match a parameter.

    Raises:
        UsageError: they match none.
    """
    if layers and not perturbed_names(network, state, "all", layers):
        such = next(iter(network.parameters), "none")
        what = f"matches none of {network.name}'s parameters, such as {such!r}"
        raise UsageError(f"--layers {' '.join(layers)}: {what}")


def unit_noise(
    state: State, names: Sequence[str], unit: UnitNoise = RELATIVE_GAUSSIAN, *, seed: int
) -> dict[str, Tensor]:
    """One draw of the unit noise for each named tensor.

    The draw of a tensor depends on the seed and its place among `names` alone, and its random
    numbers come from the CPU, so that a GPU sees the same noise.
    """
    generator = torch.Generator().manual_seed(seed)
    return {name: unit.draw(state[name], generator) for name in names}


def moved(network: Network, state: State, change: Mapping[str, Tensor], scale: float) -> State:
    """The state with `scale` times the change added, tied tensors together; the state is kept."""
    ties = network.ties
    return {
        name: tensor.add(change[ties.get(name, name)], alpha=scale)
        if ties.get(name, name) in change
        else tensor
        for name, tensor in state.items()
    }
