"""A layer that is linear in its input and in its weight, and proved norms of such weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netdistance.linalg.spectral_norm import spectral_norm
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
    # the weight as the matrix (out, in) of one vector h; None where there is no such matrix
    matrix: Callable[[Tensor], Tensor] | None = None

    def carried(self, weight: Tensor, distance: Tensor, elements: Tensor) -> Tensor:
        """A bound on |W e|_i, (N, ...), for |e|_2 <= distance, (N,), and |e_j| <= elements.

        By the triangle inequality, or by Cauchy and Schwarz: the smaller.
        """
        whole = facing(distance, elements)
        # of what cannot move no part of a row counts
        rows = self.forward((elements > 0).to(weight.dtype), weight.square(), None).sqrt()
        return torch.minimum(self.forward(elements, weight.abs(), None), rows * whole)

    def windows(self, h: Tensor, weight: Tensor) -> Tensor:
        """The l2 norm of what each output reads of h, (N, ...)."""
        return self.forward(h.square(), torch.ones_like(weight), None).clamp_min(0.0).sqrt()


def facing(distance: Tensor, elements: Tensor) -> Tensor:
    """(N,) so that it broadcasts against the numbers of each input."""
    return distance.view(-1, *[1] * (elements.ndim - 1))


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows and columns of a layer's matrix: those of numbers that can move."""

    rows: Tensor  # (out,) bool
    columns: Tensor  # (in,) bool

    def of(self, layer: AffineLayer, weight: Tensor) -> Tensor:
        """The block of a weight, as a matrix."""
        assert layer.matrix is not None
        return layer.matrix(weight)[self.rows][:, self.columns]

    def norm(self, layer: AffineLayer, weight: Tensor) -> float:
        """A proved upper bound of the spectral norm of the block of a finite weight."""
        block = self.of(layer, weight)
        return spectral_norm(block.numpy()).upper if block.numel() else 0.0


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
