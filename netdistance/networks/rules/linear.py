"""torch.nn.Linear: y = W h + b, applied to the last axis."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from netdistance.linalg.spectral_norm import spectral_norm
from netdistance.networks.change import AffineLayer
from netdistance.networks.rules.base import Call, Edge, affine


class LinearRule:
    """L = |W~|_2. With T rows to an input |D H|_F <= |D|_F |H|_F, and the bias is added T times."""

    name = "linear"

    def matches(self, call: Call) -> bool:
        """Whether the operator is a Linear module with a weight of its own."""
        return type(call.module) is nn.Linear and call.owns_weights

    def apply(self, call: Call) -> Edge:
        """The affine rule with the matrix norm."""
        module = call.module
        assert isinstance(module, nn.Linear)
        h = call.edges[0].value
        layer = AffineLayer(
            weight=f"{call.node.target}.weight",
            bias=f"{call.node.target}.bias" if module.bias is not None else None,
            forward=functional.linear,
            norm=spectral_norm,
            norm_key=(),
            spread=lambda h: torch.linalg.vector_norm(h.flatten(1), dim=1),
            gain=1.0,
            positions=math.prod(h.shape[1:-1]),
        )
        return affine(call, layer)
