"""A box of weight changes, each element by itself: what a certificate asks of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from netdistance.networks.change import AffineLayer, Norms


@dataclass(frozen=True, slots=True)
class Box:
    """Every change with |D_i| <= r_i for each element i of some tensors, the others unchanged.

    `radii` holds r, in float64, by the first name of its tensor, to which `ties` maps every name.

    The entries of a layer's operator are elements of its weight, so that those of D are at most
    those of r, in magnitude. Hence |D h| <= |R |h||, with R the operator of r, and the norm of D is
    at most that of R: at most gain |r|_F, and at most sqrt(|R|_1 |R|_inf) by Schur's test, the
    largest column sum times the largest row sum of R, read from R' 1 and R 1.
    """

    norms: Norms
    radii: Mapping[str, Tensor]
    ties: Mapping[str, str]
    _grown: dict[tuple[str, tuple[object, ...]], float] = field(default_factory=dict)

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The original weights, in float64."""
        return self.norms.state

    @property
    def confidence(self) -> float:
        """That of the norms."""
        return self.norms.confidence

    def radius(self, name: str | None) -> Tensor | None:
        """How far each element of a tensor may move; None where it does not."""
        return None if name is None else self.radii.get(self.ties[name])

    def perturbed_norm(self, layer: AffineLayer) -> float:
        """|W| + min(gain |r|_F, sqrt(|R|_1 |R|_inf))."""
        radius = self.radius(layer.weight)
        if radius is None:
            return self.norms.upper(layer)
        key = (layer.weight, (*layer.norm_key, *layer.shape))
        if key not in self._grown:
            sums = _row_and_column_sum(layer, radius)
            # each sum is of numbers >= 0, at most as many as the weight has, as in `Ball.radius`
            schur = math.sqrt(math.prod(sums)) * (1.0 + (radius.numel() + 4) * 2.3e-16)
            self._grown[key] = min(layer.gain * self.distance(layer.weight), schur)
        return self.norms.upper(layer) + self._grown[key]

    def injected(self, layer: AffineLayer, h: Tensor) -> Tensor:
        """|R |h| + s|, with s the radii of the bias."""
        weight, bias = self.radius(layer.weight), self.radius(layer.bias)
        none = torch.zeros_like(self.state[layer.weight])
        return layer.injected(h.abs(), none if weight is None else weight, bias)

    def changed(self, name: str) -> Tensor | None:
        """The tensor itself where it does not move."""
        return None if self.distance(name) else self.state[name]

    def distance(self, name: str) -> float:
        """|r|_F."""
        radius = self.radius(name)
        if radius is None:
            return 0.0
        norm = float(torch.linalg.vector_norm(radius))
        return norm * (1.0 + radius.numel() * 2.3e-16)


def _row_and_column_sum(layer: AffineLayer, weight: Tensor) -> tuple[float, float]:
    """The largest row and column sum of the operator of a weight without negative elements."""
    with torch.enable_grad():
        ones = torch.ones((1, *layer.shape), dtype=weight.dtype, requires_grad=True)
        rows = layer.forward(ones, weight, None)
        (columns,) = torch.autograd.grad(rows.sum(), ones)
    return float(rows.detach().max()), float(columns.max())
