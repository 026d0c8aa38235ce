"""How the weights move: anywhere in a ball, or by a known change. What a layer rule asks of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netdistance.networks.load import State
from netdistance.quantities import Interval


@dataclass(frozen=True, slots=True)
class AffineLayer:
    """A layer z = W h + b, with W an operator whose entries are elements of a weight tensor.

    For every weight change D: |D h| <= |D|_F * spread(h), and the operator norm of D is at most
    `gain` * |D|_F.
    """

    weight: str  # the weight's name in the state
    bias: str | None
    forward: Callable[[Tensor, Tensor, Tensor | None], Tensor]  # (h, weight, bias) -> z
    norm: Callable[[NDArray[np.float64]], Interval]  # operator norm of a weight, proved
    norm_key: tuple[object, ...]  # what the norm depends on besides the weight
    spread: Callable[[Tensor], Tensor]  # (N, ...) -> (N,)
    gain: float
    positions: int  # how often the bias is added to one input
    shape: tuple[int, ...]  # of one input h

    def injected(self, h: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """|W h + b|_2 for each input, (N,), of a weight and bias that are themselves changes."""
        moved = self.forward(h, weight, bias).flatten(1)
        norms: Tensor = torch.linalg.vector_norm(moved, dim=1)
        return norms


class Norms:
    """Proved upper ends of operator norms, each computed once for a state in float64."""

    def __init__(self, state: State) -> None:
        self.state = {
            name: tensor.detach().cpu().double() if tensor.is_floating_point() else tensor.cpu()
            for name, tensor in state.items()
        }
        self._proved: dict[tuple[str, tuple[object, ...]], Interval | None] = {}

    def upper(self, layer: AffineLayer) -> float:
        """An upper bound of the operator norm of the layer's weight; infinity if not finite."""
        key = (layer.weight, layer.norm_key)
        if key not in self._proved:
            weight = self.state[layer.weight].numpy()
            self._proved[key] = layer.norm(weight) if np.isfinite(weight).all() else None
        proved = self._proved[key]
        return math.inf if proved is None else proved.upper

    @property
    def confidence(self) -> float:
        """The probability that every norm asked for so far is what `upper` said, at least."""
        return 1.0 - math.fsum(1.0 - norm.confidence for norm in self._proved.values() if norm)


class Change(Protocol):
    """What a rule needs to know of how the parameters of a layer move."""

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The original weights, in float64."""

    @property
    def confidence(self) -> float:
        """The probability that every bound given so far holds, at least."""

    def perturbed_norm(self, layer: AffineLayer) -> float:
        """An upper bound of the operator norm of the changed weight."""

    def injected(self, layer: AffineLayer, h: Tensor) -> Tensor:
        """An upper bound of |D h + e| for the layer's change (D, e), (N,)."""

    def changed(self, name: str) -> Tensor | None:
        """The changed tensor, where it is known."""

    def distance(self, name: str) -> float:
        """An upper bound of the Frobenius norm of a tensor's change."""


@dataclass(frozen=True, slots=True)
class NoChange:
    """The weights stay: what the graph computes is then all that is asked for."""

    state: Mapping[str, Tensor]
    confidence: float = 1.0

    def perturbed_norm(self, layer: AffineLayer) -> float:
        """0: no deviation arrives anywhere."""
        return 0.0

    def injected(self, layer: AffineLayer, h: Tensor) -> Tensor:
        """0."""
        return torch.zeros(h.shape[0], dtype=h.dtype)

    def changed(self, name: str) -> Tensor:
        """The tensor itself."""
        return self.state[name]

    def distance(self, name: str) -> float:
        """0."""
        return 0.0


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
            # the norm of n numbers in float64 is within n u of the exact one
            self._radii[name] = self.level * norm * (1.0 + self.state[name].numel() * 2.3e-16)
        return self._radii[name]

    def perturbed_norm(self, layer: AffineLayer) -> float:
        """|W| + gain * radius."""
        return self.norms.upper(layer) + layer.gain * self.radius(layer.weight)

    def injected(self, layer: AffineLayer, h: Tensor) -> Tensor:
        """Radius of the weight * spread(h) + radius of the bias * sqrt(positions)."""
        bias = self.radius(layer.bias) * math.sqrt(layer.positions)
        spread: Tensor = self.radius(layer.weight) * layer.spread(h)
        return spread + bias

    def changed(self, name: str) -> Tensor | None:
        """The tensor itself where it does not move."""
        return None if self.radius(name) else self.state[name]

    def distance(self, name: str) -> float:
        """The radius."""
        return self.radius(name)


@dataclass(frozen=True, slots=True)
class KnownChange:
    """The change from a to a + t(b - a), for one t in [0, 1]."""

    a: Norms
    b: Norms
    t: float = 1.0

    @property
    def state(self) -> Mapping[str, Tensor]:
        """The original weights, in float64."""
        return self.a.state

    @property
    def confidence(self) -> float:
        """That both ends' norms hold."""
        return self.a.confidence + self.b.confidence - 1.0

    def perturbed_norm(self, layer: AffineLayer) -> float:
        """(1 - t) |W_a| + t |W_b|: a norm is convex."""
        norm_b = self.b.upper(layer)
        return norm_b if self.t == 1.0 else (1.0 - self.t) * self.a.upper(layer) + self.t * norm_b

    def injected(self, layer: AffineLayer, h: Tensor) -> Tensor:
        """The t-th part of |D h + e|, evaluated at the original activations."""
        moved = {n: self.b.state[n] - self.a.state[n] for n in (layer.weight, layer.bias) if n}
        bias = moved[layer.bias] if layer.bias else None
        injected: Tensor = self.t * layer.injected(h, moved[layer.weight], bias)
        return injected

    def changed(self, name: str) -> Tensor:
        """The t-th part of the way from a to b."""
        a, b = self.a.state[name], self.b.state[name]
        return b if self.t == 1.0 else a + self.t * (b - a)

    def distance(self, name: str) -> float:
        """The norm of the change itself."""
        return float(torch.linalg.vector_norm(self.changed(name) - self.a.state[name]))
