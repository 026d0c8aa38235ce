"""How the weights move: anywhere in a ball, or by a known change. What a layer rule asks of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from netdistance.networks.affine import AffineLayer, Block, Norms, facing
from netdistance.report.document import Over

# the norm of n numbers in float64 is within n of these of the exact one
ULP = 2.3e-16


class Change(Protocol):
    """What a rule needs to know of how the parameters of a layer move."""

    @property
    def over(self) -> Over:
        """Whether it is one change or any of a region."""

    @property
    def certificate(self) -> str:
        """The name of the row of what is certified from the activations of each input."""

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The original weights, in float64."""

    @property
    def confidence(self) -> float:
        """The probability that every bound given so far holds, at least."""

    def norm(self, layer: AffineLayer) -> float:
        """An upper bound of the operator norm of the original weight."""

    def perturbed_norm(self, layer: AffineLayer, block: Block | None = None) -> float:
        """An upper bound of the operator norm of the changed weight, or of a block of it."""

    def moved_norm(self, layer: AffineLayer) -> float:
        """An upper bound of the operator norm of the weight's change."""

    def injected(self, layer: AffineLayer, h: Tensor) -> Tensor:
        """An upper bound of |D h + e| for the layer's change (D, e), (N,)."""

    def elements_injected(self, layer: AffineLayer, h: Tensor) -> Tensor:
        """An upper bound of |D h + e|_i, (N, ...)."""

    def elements_carried(self, layer: AffineLayer, distance: Tensor, elements: Tensor) -> Tensor:
        """|W~ e|_i at most, (N, ...), for |e|_2 <= distance, (N,), |e_j| <= elements, (N, ...)."""

    def changed(self, name: str) -> Tensor | None:
        """The changed tensor, where it is known."""

    def distance(self, name: str) -> float:
        """An upper bound of the Frobenius norm of a tensor's change."""

    def elements_distance(self, name: str) -> Tensor:
        """An upper bound of the change of each of a tensor's numbers; 0-D where all have one."""


@dataclass(frozen=True, slots=True)
class NoChange:
    """The weights stay: what the graph computes is then all that is asked for."""

    state: Mapping[str, Tensor]

    @property
    def over(self) -> Over:
        """Nothing moves, which is known."""
        return "known"

    @property
    def certificate(self) -> str:
        """That of a known change."""
        return "known_change_certificate"

    @property
    def confidence(self) -> float:
        """1: nothing is random."""
        return 1.0

    def norm(self, layer: AffineLayer) -> float:
        """0: no deviation arrives anywhere."""
        return 0.0

    def perturbed_norm(self, layer: AffineLayer, block: Block | None = None) -> float:
        """0: no deviation arrives anywhere."""
        return 0.0

    def moved_norm(self, layer: AffineLayer) -> float:
        """0."""
        return 0.0

    def injected(self, layer: AffineLayer, h: Tensor) -> Tensor:
        """0."""
        return torch.zeros(h.shape[0], dtype=h.dtype)

    def elements_injected(self, layer: AffineLayer, h: Tensor) -> Tensor:
        """0."""
        return torch.zeros_like(layer.forward(h, self.state[layer.weight], None))

    def elements_carried(self, layer: AffineLayer, distance: Tensor, elements: Tensor) -> Tensor:
        """0."""
        return torch.zeros_like(layer.forward(elements, self.state[layer.weight], None))

    def changed(self, name: str) -> Tensor:
        """The tensor itself."""
        return self.state[name]

    def distance(self, name: str) -> float:
        """0."""
        return 0.0

    def elements_distance(self, name: str) -> Tensor:
        """0."""
        return torch.zeros((), dtype=torch.float64)


@dataclass(frozen=True, slots=True)
class MovedInput(NoChange):
    """The weights stay, and a deviation arrives with the input."""

    norms: Norms
    used: Callable[[str], None]  # told the name of each weight once its norm is proved

    @property
    def confidence(self) -> float:
        """That of the norms."""
        return self.norms.confidence

    def perturbed_norm(self, layer: AffineLayer, block: Block | None = None) -> float:
        """|W|."""
        upper = self.norms.upper(layer)
        self.used(layer.weight)
        return upper


@dataclass(frozen=True, slots=True)
class Ball:
    """Every change with |D_l|_F <= level * |W_l|_F for the named tensors, the others unchanged.

    `ties` maps every name to the first name of its tensor, which `names` uses.
    """

    norms: Norms
    level: float
    names: frozenset[str]
    ties: Mapping[str, str]
    _radii: dict[str, float] = field(default_factory=dict)
    over: Over = "ball"
    certificate: str = "ball_certificate"

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The original weights, in float64."""
        return self.norms.state

    @property
    def confidence(self) -> float:
        """That of the norms."""
        return self.norms.confidence

    def radius(self, name: str | None) -> float:
        """How far a tensor may move, in the Frobenius norm."""
        if name is None or self.ties[name] not in self.names:
            return 0.0
        if name not in self._radii:
            norm = float(torch.linalg.vector_norm(self.state[name]))
            self._radii[name] = self.level * norm * (1.0 + self.state[name].numel() * ULP)
        return self._radii[name]

    def norm(self, layer: AffineLayer) -> float:
        """|W|."""
        return self.norms.upper(layer)

    def perturbed_norm(self, layer: AffineLayer, block: Block | None = None) -> float:
        """|W| + gain * radius."""
        norm = self.norms.upper(layer)
        if block is not None:
            norm = min(norm, block.norm(layer, self.state[layer.weight]))
        return norm + self.moved_norm(layer)

    def moved_norm(self, layer: AffineLayer) -> float:
        """Gain * radius."""
        return layer.gain * self.radius(layer.weight)

    def injected(self, layer: AffineLayer, h: Tensor) -> Tensor:
        """Radius of the weight * spread(h) + radius of the bias * sqrt(positions)."""
        bias = self.radius(layer.bias) * math.sqrt(layer.positions)
        spread: Tensor = self.radius(layer.weight) * layer.spread(h)
        return spread + bias

    def elements_injected(self, layer: AffineLayer, h: Tensor) -> Tensor:
        """Radius of the weight * norm of what the output reads + radius of the bias."""
        read: Tensor = self.radius(layer.weight) * layer.windows(h, self.state[layer.weight])
        return read + self.radius(layer.bias)

    def elements_carried(self, layer: AffineLayer, distance: Tensor, elements: Tensor) -> Tensor:
        """min(|W| elements, row of W * distance) + radius * norm of what the output reads of it."""
        weight = self.state[layer.weight]
        read = torch.minimum(layer.windows(elements, weight), facing(distance, elements))
        own = self.radius(layer.weight) * read
        return layer.carried(weight, distance, elements) + own

    def changed(self, name: str) -> Tensor | None:
        """The tensor itself where it does not move."""
        return None if self.radius(name) else self.state[name]

    def distance(self, name: str) -> float:
        """The radius."""
        return self.radius(name)

    def elements_distance(self, name: str) -> Tensor:
        """The radius: one number may have all of it."""
        return torch.tensor(self.radius(name), dtype=torch.float64)


@dataclass(frozen=True, slots=True)
class KnownChange:
    """The change from a to a + t(b - a), for one t in [0, 1]."""

    a: Norms
    b: Norms
    t: float = 1.0
    rounding: float = 0.0  # of weights and biases: what each may be off by, relative
    over: Over = "known"
    certificate: str = "known_change_certificate"

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The original weights, in float64."""
        return self.a.state

    @property
    def confidence(self) -> float:
        """That both ends' norms hold."""
        return self.a.confidence + self.b.confidence - 1.0

    def norm(self, layer: AffineLayer) -> float:
        """|W_a|."""
        return self.a.upper(layer)

    def perturbed_norm(self, layer: AffineLayer, block: Block | None = None) -> float:
        """(1 - t) |W_a| + t |W_b|: a norm is convex."""
        norm = self.b.upper(layer)
        if self.t < 1.0:
            norm = (1.0 - self.t) * self.a.upper(layer) + self.t * norm
        return norm if block is None else min(norm, block.norm(layer, self.changed(layer.weight)))

    def moved_norm(self, layer: AffineLayer) -> float:
        """The t-th part of gain * |D|_F."""
        size = self.state[layer.weight].numel()
        return layer.gain * self.distance(layer.weight) * (1.0 + size * ULP)

    def injected(self, layer: AffineLayer, h: Tensor) -> Tensor:
        """The t-th part of |D h + e|, evaluated at the original activations."""
        moved = self.elements_injected(layer, h).flatten(1)
        norms: Tensor = torch.linalg.vector_norm(moved, dim=1)
        return norms

    def elements_injected(self, layer: AffineLayer, h: Tensor) -> Tensor:
        """The t-th part of |D h + e|_i."""
        names = [name for name in (layer.weight, layer.bias) if name]
        moved = {name: self.b.state[name] - self.a.state[name] for name in names}
        own: Tensor = self.t * layer.forward(h, moved[layer.weight], moved.get(layer.bias or ""))
        if not self.rounding:
            return own.abs()
        off = {n: self.a.state[n].abs() + self.b.state[n].abs() for n in names}
        rounded = layer.forward(h.abs(), off[layer.weight], off.get(layer.bias or ""))
        return own.abs() + self.rounding * rounded

    def elements_carried(self, layer: AffineLayer, distance: Tensor, elements: Tensor) -> Tensor:
        """min(|W~| elements, row of W~ * distance)."""
        return layer.carried(self.changed(layer.weight), distance, elements)

    def changed(self, name: str) -> Tensor:
        """The t-th part of the way from a to b."""
        a, b = self.a.state[name], self.b.state[name]
        return b if self.t == 1.0 else a + self.t * (b - a)

    def distance(self, name: str) -> float:
        """The norm of the change itself."""
        return float(torch.linalg.vector_norm(self.elements_distance(name)))

    def elements_distance(self, name: str) -> Tensor:
        """The change itself: not of the changed tensor, which is rounded."""
        return self.t * (self.b.state[name] - self.a.state[name]).abs()
