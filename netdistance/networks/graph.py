"""The traced graph of a network, walked in float64 with a bound on every edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from netdistance.networks.change import Change
from netdistance.networks.load import Network, first_line
from netdistance.networks.rules import RULES
from netdistance.networks.rules.base import Call, Edge, NoRuleError


@dataclass(frozen=True, slots=True)
class Graph:
    """A traced network: its operators in the order they run."""

    module: nn.Module
    nodes: tuple[fx.Node, ...]


def trace(network: Network) -> Graph:
    """The graph of the network's operators.

    Raises:
        NoRuleError: the forward depends on its data in a way that cannot be traced, or a module
            has hooks or a replaced forward, which a trace does not show.
    """
    for name, module in network.module.named_modules():
        if module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module):
            where = f"{name or 'the network'} ({type(module).__name__})"
            raise NoRuleError(f"{where} has hooks or a forward of its own")
    try:
        traced = fx.symbolic_trace(network.module)
    except Exception as error:  # tracing runs the user's forward, which may raise anything
        raise NoRuleError(f"the network cannot be traced: {first_line(error)}") from error
    return Graph(network.module, tuple(traced.graph.nodes))


def bound_output(graph: Graph, inputs: Tensor, change: Change) -> Edge:
    """The output of the original network in float64, and a bound on how far it moves, per input.

    `inputs` is (N, ...) float64. Source: mathematics of the ball and known-change certificates in
    docs/concepts/certificates.md.

    Raises:
        NoRuleError: an operator has no rule; the message names it.
    """
    edges: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            if any(isinstance(edge, Edge) for edge in edges.values()):
                raise NoRuleError(f"{node.name}: a second input")
            edges[node] = Edge(inputs, torch.zeros(inputs.shape[0], dtype=torch.float64))
        elif node.op == "output":
            result = _resolve(node.args[0], edges)
            if not isinstance(result, Edge):
                raise NoRuleError("the output is not one tensor")
            return result
        else:
            edges[node] = _step(graph, node, edges, change)
    raise NoRuleError("the graph has no output")


def _step(graph: Graph, node: fx.Node, edges: Mapping[fx.Node, Any], change: Change) -> Any:
    module = graph.module.get_submodule(str(node.target)) if node.op == "call_module" else None
    args = tuple(_resolve(arg, edges) for arg in node.args)
    kwargs = {key: _resolve(value, edges) for key, value in node.kwargs.items()}
    call = Call(node, module, args, kwargs, change)
    rule = next((rule for rule in RULES if rule.matches(call)), None)
    if rule is None:
        raise NoRuleError(f"operator {call.describe()} has no rule")
    try:
        result = rule.apply(call)
    except RuntimeError as error:
        what = f"operator {call.describe()} cannot run in float64: {first_line(error)}"
        raise NoRuleError(what) from error
    if isinstance(result, Edge) and result.value.shape[:1] != call.batch_shape:
        raise NoRuleError(f"operator {call.describe()} mixes the inputs of a batch")
    return result


def _resolve(argument: Any, edges: Mapping[fx.Node, Any]) -> Any:
    if isinstance(argument, fx.Node):
        return edges[argument]
    if isinstance(argument, list | tuple):
        return type(argument)(_resolve(member, edges) for member in argument)
    return argument
