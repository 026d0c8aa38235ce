"""A box of weight changes, each element by itself: what a certificate asks of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from netdistance.networks.affine import AffineLayer, Block, Norms
from netdistance.networks.change import ULP
from netdistance.report.document import Over


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
    over: Over = "ball"
    certificate: str = "box_certificate"

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

    def norm(self, layer: AffineLayer) -> float:
        """|W|."""
        return self.norms.upper(layer)

    def perturbed_norm(self, layer: AffineLayer, block: Block | None = None) -> float:
        """|W| + |D|, of a block where one is given."""
        norm, radius = self.norms.upper(layer), self.radius(layer.weight)
        if block is None or radius is None:
            return norm + self.moved_norm(layer)
        part = block.of(layer, radius)
        own = _schur(part.sum(1), part.sum(0), part.numel())
        whole = min(norm, block.norm(layer, self.state[layer.weight]))
        return whole + min(own, self.moved_norm(layer))

    def moved_norm(self, layer: AffineLayer) -> float:
        """The smaller of gain |r|_F and sqrt(|R|_1 |R|_inf)."""
        radius = self.radius(layer.weight)
        if radius is None:
            return 0.0
        key = (layer.weight, (*layer.norm_key, *layer.shape))
        if key not in self._grown:
            schur = _schur(*_row_and_column_sums(layer, radius), radius.numel())
            self._grown[key] = min(layer.gain * self.distance(layer.weight), schur)
        return self._grown[key]

    def injected(self, layer: AffineLayer, h: Tensor) -> Tensor:
        """|R |h| + s|, with s the radii of the bias."""
        norms: Tensor = torch.linalg.vector_norm(self.elements_injected(layer, h).flatten(1), dim=1)
        return norms

    def elements_injected(self, layer: AffineLayer, h: Tensor) -> Tensor:
        """R |h| + s."""
        weight, bias = self.radius(layer.weight), self.radius(layer.bias)
        none = torch.zeros_like(self.state[layer.weight])
        return layer.forward(h.abs(), none if weight is None else weight, bias)

    def elements_carried(self, layer: AffineLayer, distance: Tensor, elements: Tensor) -> Tensor:
        """What W and R carry."""
        carried = layer.carried(self.state[layer.weight], distance, elements)
        radius = self.radius(layer.weight)
        return carried if radius is None else carried + layer.carried(radius, distance, elements)

    def changed(self, name: str) -> Tensor | None:
        """The tensor itself where it does not move."""
        return None if self.distance(name) else self.state[name]

    def distance(self, name: str) -> float:
        """|r|_F."""
        radius = self.radius(name)
        if radius is None:
            return 0.0
        norm = float(torch.linalg.vector_norm(radius))
        return norm * (1.0 + radius.numel() * ULP)

    def elements_distance(self, name: str) -> Tensor:
        """The radii r."""
        radius = self.radius(name)
        return torch.zeros((), dtype=torch.float64) if radius is None else radius


def _row_and_column_sums(layer: AffineLayer, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The row and column sums of the operator of a weight without negative elements."""
    with torch.enable_grad():
        ones = torch.ones((1, *layer.shape), dtype=weight.dtype, requires_grad=True)
        rows = layer.forward(ones, weight, None)
        (columns,) = torch.autograd.grad(rows.sum(), ones)
    return rows.detach(), columns


def _schur(rows: Tensor, columns: Tensor, terms: int) -> float:
    """sqrt(|R|_1 |R|_inf), of sums of at most `terms` numbers >= 0, moved past their rounding."""
    if not terms:
        return 0.0
    return math.sqrt(float(rows.max()) * float(columns.max())) * (1.0 + (terms + 4) * ULP)
