"""What a layer rule is given and gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, fx, nn

from netdistance.networks.change import AffineLayer, Change


class NoRuleError(Exception):
    """An operator without a rule: the certificate is skipped and names it."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A value of the original network, and a bound on how far it can have moved."""

    value: Tensor  # (N, ...) float64
    deviation: Tensor  # (N,) float64, a bound on the l2 norm of the change of each input's value

    @property
    def norms(self) -> Tensor:
        """The l2 norm of each input's value, (N,)."""
        rows = self.value.reshape(self.value.shape[0], -1)
        norms: Tensor = torch.linalg.vector_norm(rows, dim=1)
        return norms


@dataclass(frozen=True, slots=True)
class Call:
    """One operator of the graph with its resolved arguments."""

    node: fx.Node
    module: nn.Module | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    change: Change

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The arguments that are values of the network."""
        return tuple(a for a in (*self.args, *self.kwargs.values()) if isinstance(a, Edge))

    @property
    def batch_shape(self) -> torch.Size:
        """(N,)."""
        return self.edges[0].value.shape[:1]

    @property
    def owns_weights(self) -> bool:
        """Whether the module's weight and bias are tensors of the state, not computed from some."""
        own = ("weight",) if getattr(self.module, "bias", None) is None else ("weight", "bias")
        return all(f"{self.node.target}.{name}" in self.change.state for name in own)

    def is_function(self, *targets: Any) -> bool:
        """Whether the operator is a call of one of these functions or tensor methods."""
        return self.node.op in ("call_function", "call_method") and self.node.target in targets

    def describe(self) -> str:
        """The operator's name for a reader: its place and its type."""
        if self.module is not None:
            return f"{self.node.target} ({type(self.module).__name__})"
        target = self.node.target
        return f"{self.node.name} ({getattr(target, '__name__', target)})"

    def evaluate(self) -> Any:
        """The operator's result on the original values, for operators without parameters."""
        args = tuple(a.value if isinstance(a, Edge) else a for a in self.args)
        kwargs = {k: a.value if isinstance(a, Edge) else a for k, a in self.kwargs.items()}
        if self.module is not None:
            return self.module(*args, **kwargs)
        if self.node.op == "call_method":
            return getattr(args[0], str(self.node.target))(*args[1:], **kwargs)
        assert callable(self.node.target)
        return self.node.target(*args, **kwargs)


class Rule(Protocol):
    """What an operator does to a deviation: d_out = L * d_in + P."""

    name: str

    def matches(self, call: Call) -> bool:
        """Whether this rule holds for the operator."""

    def apply(self, call: Call) -> Any:
        """The operator's value with its bound, or a plain value such as a size."""


def affine(call: Call, layer: AffineLayer) -> Edge:
    """d_out = |W~| d_in + |D h + e|, since W~h~ + b~ - (Wh + b) = W~(h~ - h) + Dh + e."""
    (edge,) = call.edges
    state = call.change.state
    bias = state[layer.bias] if layer.bias else None
    value = layer.forward(edge.value, state[layer.weight], bias)
    carried = call.change.perturbed_norm(layer) * edge.deviation
    return Edge(value, carried + call.change.injected(layer, edge.value))
