"""Layerwise relative Gaussian noise: every tensor moves by the same fraction of its norm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netdistance.linalg.weight_norm import WeightNorms
from netdistance.networks.affine import Norms
from netdistance.networks.change import Ball
from netdistance.report.document import Scope


@dataclass(frozen=True, slots=True)
class RelativeGaussian:
    """Gaussian noise with the norm of each tensor, |D|_F = |W|_F, in the ball |D|_F <= |W|_F.

    Scaled by a level it is noise of exactly that relative size. The extent of a tensor is |W|_F.
    """

    def scopes(self, asked: tuple[Scope, ...]) -> tuple[Scope, ...]:
        """All of them."""
        return asked

    def extent(self, weight: Tensor) -> Tensor:
        """|W|_F, 0-D, float64."""
        norm: Tensor = torch.linalg.vector_norm(weight, dtype=torch.float64)
        return norm

    def draw(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """A Gaussian direction with the norm of the weight."""
        draw = torch.randn(weight.shape, generator=generator, dtype=torch.float32)
        norm, target = float(self.extent(draw)), float(self.extent(weight))
        wide = draw.to(torch.promote_types(draw.dtype, weight.dtype))
        return wide.mul_(target / norm if norm else 0.0).to(weight.device, weight.dtype)

    def ascend(self, extent: Tensor, gradient: Tensor) -> Tensor | None:
        """The gradient with the norm of the extent."""
        norm = float(torch.linalg.vector_norm(gradient, dtype=torch.float64))
        return gradient * (float(extent) / norm) if 0.0 < norm < float("inf") else None

    def energy(self, extent: Tensor, gradient: Tensor) -> Tensor:
        """sigma^2 |g|_F^2, sigma^2 = |W|_F^2 / n."""
        n = max(1, gradient.numel())
        return extent.square() / n * gradient.double().square().sum()

    def farthest(self, weight: Tensor) -> float:
        """1, by definition; a tensor of zeros counts as any other."""
        return 1.0

    def reach(self, weight: Tensor, norms: WeightNorms) -> WeightNorms:
        """sqrt(taps) |W|_F, with one tap for a matrix: the same rank-one matrix at every tap."""
        return norms.of_ball(math.prod(weight.shape[2:]))

    def change(
        self, norms: Norms, scale: float, names: Sequence[str], ties: Mapping[str, str]
    ) -> Ball:
        """The ball of radius scale |W|_F around each named tensor."""
        return Ball(norms, scale, frozenset(names), ties)

    def describe(self, scale: float, scope: Scope) -> str:
        """The ball of each tensor."""
        return f"each tensor moves by at most {scale:g} of its Frobenius norm ({scope})"
