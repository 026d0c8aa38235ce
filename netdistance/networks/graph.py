"""The traced graph of a network, walked in float64 with a bound on every edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from netdistance.errors import first_line
from netdistance.networks.change import Change
from netdistance.networks.load import Network
from netdistance.networks.rules import RULES, registered, whole_modules
from netdistance.networks.rules.base import Call, Edge, NoRuleError, Parameter, Rule


@dataclass(frozen=True, slots=True)
class Graph:
    """A traced network: its operators in the order they run."""

    module: nn.Module
    nodes: tuple[fx.Node, ...]


class _Tracer(fx.Tracer):
    """Goes through every module but those of torch, and those that a registered rule covers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        whole = isinstance(m, whole_modules())
        return whole or super().is_leaf_module(m, module_qualified_name)


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
        traced = _Tracer().trace(network.module)
    except Exception as error:  # tracing runs the user's forward, which may raise anything
        raise NoRuleError(f"the network cannot be traced: {first_line(error)}") from error
    return Graph(network.module, tuple(traced.nodes))


def input_edge(
    inputs: Tensor,
    *,
    deviation: Tensor | None = None,
    by_element: bool = False,
    reach: float | None = None,
) -> Edge:
    """Inputs (N, ...), float64, that have moved by `deviation`, (N,), or not at all.

    What a walk of the graph starts from. `by_element` bounds each number of every value too. With a
    `reach` the walk covers all inputs in the l2 ball of that radius around each one.
    """
    zeros = torch.zeros(inputs.shape[0], dtype=torch.float64)
    return Edge(
        inputs,
        zeros if deviation is None else deviation,
        torch.zeros_like(inputs) if by_element else None,
        None if reach is None else zeros + reach,
    )


def bound_output(
    graph: Graph, start: Edge, change: Change, *, for_every_input: bool = False
) -> Edge:
    """The output of the original network in float64, and a bound on how far it moves, per input.

    `start` is the input, with bounds on how far it has moved itself. With `for_every_input` the
    factor between the two deviations is the same whatever the inputs are, where `change` moves no
    weight. Source: the recursions in docs/concepts/certificates.md.

    Raises:
        NoRuleError: an operator has no rule, or none that `for_every_input` allows; the message
            names it.
    """
    edges: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        if node.op == "placeholder":
            if any(isinstance(edge, Edge) for edge in edges.values()):
                raise NoRuleError(f"{node.name}: a second input")
            edges[node] = start
        elif node.op == "output":
            result = fx.node.map_arg(node.args[0], edges.__getitem__)
            if not isinstance(result, Edge):
                raise NoRuleError("the output is not one tensor")
            return result
        else:
            edges[node] = _step(graph, node, edges, change, for_every_input)
    raise NoRuleError("the graph has no output")


def _step(
    graph: Graph,
    node: fx.Node,
    edges: Mapping[fx.Node, Any],
    change: Change,
    for_every_input: bool,
) -> Any:
    own = change.state.get(str(node.target)) if node.op == "get_attr" else None
    if own is not None and own.is_floating_point():
        return Parameter(str(node.target), own)
    module = graph.module.get_submodule(str(node.target)) if node.op == "call_module" else None
    args = fx.node.map_arg(node.args, edges.__getitem__)
    kwargs = fx.node.map_arg(node.kwargs, edges.__getitem__)
    call = Call(node, module, args, kwargs, change)
    rule = next((rule for rule in (*registered(), *RULES) if rule.matches(call)), None)
    if rule is None:
        raise NoRuleError(f"operator {call.describe()} has no rule")
    if for_every_input and not _has_constant_factor(rule, call):
        what = "has no rule whose factor is the same for every input"
        raise NoRuleError(f"operator {call.describe()} {what}")
    try:
        result = rule.apply(call)
    except NoRuleError:
        raise
    except Exception as error:  # an operator of the user's own network
        what = f"operator {call.describe()} cannot run in float64: {first_line(error)}"
        raise NoRuleError(what) from error
    if isinstance(result, list | tuple):
        return [_checked(part, call) for part in result]
    return _checked(result, call)


def _checked(result: Any, call: Call) -> Any:
    if not isinstance(result, Edge):
        return result
    if result.value.shape[:1] != call.batch_shape:
        raise NoRuleError(f"operator {call.describe()} mixes the inputs of a batch")
    if result.reach is None and any(edge.reach is not None for edge in call.edges):
        raise NoRuleError(f"operator {call.describe()} has a rule for single inputs alone")
    return result.tightened()


def _has_constant_factor(rule: Rule, call: Call) -> bool:
    """What the rule itself says; a rule that says nothing is not taken for one."""
    stated = getattr(rule, "has_constant_factor", None)
    return stated is not None and bool(stated(call))
