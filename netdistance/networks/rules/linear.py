"""torch.nn.Linear and its function: y = W h + b, applied to the last axis."""

from __future__ import annotations

import math
import operator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from netdistance.linalg.spectral_norm import spectral_norm
from netdistance.networks.affine import AffineLayer
from netdistance.networks.rules.base import Call, ConstantFactor, Edge, Parameter, affine


class LinearRule(ConstantFactor):
    """L = |W~|_2. With T rows to an input |D H|_F <= |D|_F |H|_F, and the bias is added T times."""

    name = "linear"

    def matches(self, call: Call) -> bool:
        """Whether the operator is a Linear module, or functional.linear, with own weights."""
        if type(call.module) is nn.Linear:
            return call.owns_weights and call.is_unary
        return call.is_function(functional.linear) and _weights(call) is not None

    def apply(self, call: Call) -> Edge:
        """The affine rule with the matrix norm."""
        weight, bias = f"{call.node.target}.weight", f"{call.node.target}.bias"
        if call.module is None:
            found = _weights(call)
            assert found is not None
            return affine(call, _layer(call, found[0], found[1]))
        return affine(call, _layer(call, weight, None if call.module.bias is None else bias))


def _weights(call: Call) -> tuple[str, str | None] | None:
    """The names of a function's matrix and vector, if they are tensors of the state."""
    given = call.settings("weight", "bias")
    if given is None or len(call.edges) != 1 or not isinstance(call.args[:1][0], Edge):
        return None
    weight, bias = given.get("weight"), given.get("bias")
    if not isinstance(weight, Parameter) or weight.value.ndim != 2:
        return None
    if bias is None:
        return weight.name, None
    return (weight.name, bias.name) if isinstance(bias, Parameter) else None


def _layer(call: Call, weight: str, bias: str | None) -> AffineLayer:
    return AffineLayer(
        weight=weight,
        bias=bias,
        forward=functional.linear,
        norm=spectral_norm,
        norm_key=(),
        spread=lambda h: torch.linalg.vector_norm(h.flatten(1), dim=1),
        gain=1.0,
        positions=math.prod(call.edges[0].value.shape[1:-1]),
        shape=tuple(call.edges[0].value.shape[1:]),
        matrix=lambda weight: weight,
    )


class MatrixRule(ConstantFactor):
    """H P for a matrix P of the state: the rule of linear for its transpose."""

    name = "matrix"

    def matches(self, call: Call) -> bool:
        """Whether a value is multiplied from the right by a matrix of the state."""
        spelled = call.is_function(operator.matmul, torch.matmul, "matmul")
        if not spelled or call.kwargs or len(call.args) != 2:
            return False
        value, matrix = call.args
        return (
            isinstance(value, Edge)
            and value.value.ndim > 1
            and isinstance(matrix, Parameter)
            and matrix.value.ndim == 2
        )

    def apply(self, call: Call) -> Edge:
        """The affine rule with the matrix norm."""

        def forward(h: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            return h @ weight

        layer = _layer(call, call.args[1].name, None)
        return affine(call, replace(layer, forward=forward, matrix=lambda weight: weight.T))
