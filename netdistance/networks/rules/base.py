"""What a layer rule is given and gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import EllipsisType
from typing import Any, Protocol

import torch
from torch import Tensor, fx, nn

from netdistance.linalg.spectral_norm import gamma
from netdistance.networks.affine import AffineLayer, Block
from netdistance.networks.change import Change


class NoRuleError(Exception):
    """An operator without a rule: the certificate is skipped and names it."""


# what an argument can be that no weight changes
PLAIN = (int, float, str, type(None), EllipsisType, torch.memory_format)


@dataclass(frozen=True, slots=True)
class Edge:
    """A value of the original network, and a bound on how far it can have moved.

    The rest is asked for by some certificates alone, and None where it is not known: a bound on the
    change of each number, and of any set of them together; and, for a certificate of all inputs in
    a ball, how far the original network's own value can be from `value`, which is at its centre.
    """

    value: Tensor  # (N, ...) float64
    deviation: Tensor  # (N,) float64, a bound on the l2 norm of the change of each input's value
    elements: Tensor | None = None  # (N, ...) bounds on the change of each number
    reach: Tensor | None = None  # (N,) a bound on the l2 distance of the value from `value`
    part: Callable[[Tensor], Tensor] | None = None  # (N, ...) bool -> (N,) for these numbers alone

    def carried(self, value: Tensor, factor: float | Tensor, elements: Tensor | None) -> Edge:
        """What an operator of this Lipschitz constant and no moving parameters makes of it."""
        reach = None if self.reach is None else self.reach * factor
        return Edge(value, self.deviation * factor, elements, reach)

    def tightened(self) -> Edge:
        """The same with each bound no larger than what the others say."""
        if self.elements is None:
            return self
        whole = self.deviation.view(-1, *[1] * (self.value.ndim - 1))
        elements = torch.minimum(self.elements, whole)
        together = torch.linalg.vector_norm(elements.reshape(len(elements), -1), dim=1)
        return replace(self, deviation=torch.minimum(self.deviation, together), elements=elements)

    @property
    def rows(self) -> Tensor:
        """Each input's value as one row, (N, numbers)."""
        return self.value.reshape(self.value.shape[0], -1)

    @property
    def norms(self) -> Tensor:
        """The l2 norm of each input's value, (N,)."""
        norms: Tensor = torch.linalg.vector_norm(self.rows, dim=1)
        return norms


@dataclass(frozen=True, slots=True)
class Parameter:
    """A tensor of the state that the forward reads by its name."""

    name: str
    value: Tensor  # float64


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
        """The arguments that are values of the network, also those in lists."""
        return tuple(leaf for leaf in self._leaves() if isinstance(leaf, Edge))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The arguments that are tensors of the state, also those in lists."""
        return tuple(leaf for leaf in self._leaves() if isinstance(leaf, Parameter))

    @property
    def is_unary(self) -> bool:
        """Whether the first argument is a value of the network and all others are plain numbers."""
        given = self.args[:1] or tuple(self.kwargs.values())[:1]
        others = [leaf for leaf in self._leaves() if not isinstance(leaf, Edge)]
        return (
            isinstance(given[0] if given else None, Edge)
            and len(self.edges) == 1
            and all(isinstance(leaf, PLAIN) for leaf in others)
        )

    def _leaves(self) -> Iterator[Any]:
        pending = [*self.args, *self.kwargs.values()]
        while pending:
            match pending.pop(0):
                case list() | tuple() as members:
                    pending[:0] = members
                case slice() as part:
                    pending[:0] = [part.start, part.stop, part.step]
                case leaf:
                    yield leaf

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

    @property
    def elements(self) -> Tensor | None:
        """What a monotone operator without parameters makes of the bounds on each number."""
        known = all(edge.elements is not None for edge in self.edges)
        result = self.evaluate(lambda leaf: leaf.elements) if known else None
        return result if isinstance(result, Tensor) else None

    def evaluate(self, read: Callable[[Any], Tensor] = lambda leaf: leaf.value) -> Any:
        """The operator's result on the original values, for operators without parameters.

        `read` gives what takes the place of an edge or parameter. It is copied, for the operator
        may work in place on a value that is used again.
        """

        def plain(leaf: Any) -> Any:
            return read(leaf).clone() if isinstance(leaf, Edge | Parameter) else leaf

        args, kwargs = fx.node.map_aggregate((self.args, self.kwargs), plain)
        if self.module is not None:
            return self.module(*args, **kwargs)
        if self.node.op == "call_method":
            return getattr(args[0], str(self.node.target))(*args[1:], **kwargs)
        assert callable(self.node.target)
        return self.node.target(*args, **kwargs)

    def settings(self, *names: str) -> dict[str, Any] | None:
        """A function's arguments after its first, by these names in order; None if they differ."""
        given = dict(zip(names, self.args[1:], strict=False))
        if len(self.args) > len(names) + 1 or given.keys() & self.kwargs.keys():
            return None
        given |= {key: value for key, value in self.kwargs.items() if key != "input"}
        return given if given.keys() <= set(names) else None


class Rule(Protocol):
    """What an operator does to a deviation: d_out = L * d_in + P."""

    name: str

    def matches(self, call: Call) -> bool:
        """Whether this rule holds for the operator."""

    def apply(self, call: Call) -> Any:
        """The operator's value with its bound, or a plain value such as a size."""


class ConstantFactor:
    """The statement of a rule: d_out <= c d_in where no weight moves, with one c for all inputs.

    c depends on weights, settings and shapes alone: on no value of the network, and not on how
    large d_in is. Several d_in may have a factor each. Only such rules carry a bound that holds
    for every two inputs; one that does not say so is never taken for one.
    """

    def has_constant_factor(self, call: Call) -> bool:
        """Whether it is so for this operator."""
        return True


def repeats_to(small: torch.Size, large: torch.Size) -> bool:
    """Whether broadcasting repeats a tensor of one shape to another, which stays as it is."""
    pairs = zip(reversed(small), reversed(large), strict=False)
    return len(small) <= len(large) and all(own in (1, size) for own, size in pairs)


def affine(call: Call, layer: AffineLayer) -> Edge:
    """d_out = |W~| d_in + |D h + e|, since W~h~ + b~ - (Wh + b) = W~(h~ - h) + Dh + e."""
    edge, change = call.edges[0], call.change
    state = change.state
    bias = state[layer.bias] if layer.bias else None
    value = layer.forward(edge.value, state[layer.weight], bias)
    injected = change.injected(layer, edge.value)
    deviation = change.perturbed_norm(layer) * edge.deviation + injected
    if edge.reach is not None:
        # D h + e at another input: D times the distance from this one more
        deviation = deviation + change.moved_norm(layer) * edge.reach
        return Edge(value, deviation, reach=change.norm(layer) * edge.reach)
    if edge.elements is None:
        return Edge(value, deviation)
    own = change.elements_injected(layer, edge.value)
    elements = own + change.elements_carried(layer, edge.deviation, edge.elements)
    # what follows asks whether z + e is below 0, and z is rounded
    elements = elements + _rounding(layer, edge.value, state[layer.weight], bias)

    def part(rows: Tensor) -> Tensor:
        there = torch.linalg.vector_norm((own * rows).flatten(1), dim=1)
        return _block_norms(call, layer, rows) * edge.deviation + torch.minimum(injected, there)

    deviation = torch.minimum(deviation, part(torch.ones_like(value, dtype=torch.bool)))
    return Edge(value, deviation, elements, part=part)


def _rounding(layer: AffineLayer, h: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """What each number of W h + b may be off by in float64: gamma_n (|W| |h| + |b|), n terms."""
    terms = weight.numel() // min(weight.shape[:2]) + 2
    size = layer.forward(h.abs(), weight.abs(), None if bias is None else bias.abs())
    return gamma(terms) * size


# a block of one input's own is worth its spectral norm up to this size
_MOST_NEURONS = 1024


def _block_norms(call: Call, layer: AffineLayer, rows: Tensor) -> Tensor:
    """The norm of the changed weight between the numbers that move, of each input, (N,)."""
    edge = call.edges[0]
    assert edge.elements is not None
    norms = torch.full_like(edge.deviation, call.change.perturbed_norm(layer))
    small = min(call.change.state[layer.weight].shape[:2]) <= _MOST_NEURONS
    if layer.matrix is None or not small or not bool(norms.isfinite().all()):
        return norms
    # of several rows h of one input: what moves in any of them
    masks = [m.reshape(len(m), -1, m.shape[-1]).any(1) for m in (rows, edge.elements > 0)]
    for index, (outputs, inputs) in enumerate(zip(*masks, strict=True)):
        if edge.deviation[index] > 0 and not bool(outputs.all() and inputs.all()):
            norms[index] = call.change.perturbed_norm(layer, Block(outputs, inputs))
    return norms
