"""torch.nn.PReLU: p_w(x) = x where x is above 0 and w x elsewhere, one w or one a channel."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from netdistance.networks.rules.base import Call, ConstantFactor, Edge


class PReLURule(ConstantFactor):
    """D_out = max(1, |w~|_inf) d_in + |(w~ - w) x^-|, with x^- = min(x, 0).

    p_w~(x~) - p_w(x) = (p_w~(x~) - p_w~(x)) + (w~ - w) x^-, and p_w~ has slopes 1 and w~. Over a
    ball of radius r no |w~_c| exceeds |w_c| + r, and |(w~ - w) x^-|^2 = sum_c (w~_c - w_c)^2
    |x^-_c|^2 is at most r^2 max_c |x^-_c|^2; a single w has one channel, the whole input.
    """

    name = "prelu"

    def matches(self, call: Call) -> bool:
        """Whether the operator is the module with a weight of the state, on one value."""
        own = f"{call.node.target}.weight" in call.change.state
        return type(call.module) is nn.PReLU and own and call.is_unary

    def apply(self, call: Call) -> Edge:
        """The activation, and its bound."""
        name, edge = f"{call.node.target}.weight", call.edges[0]
        weight, changed = call.change.state[name], call.change.changed(name)
        value = torch.nn.functional.prelu(edge.value, weight)
        below = edge.value.clamp(max=0.0)
        if changed is None:
            radius = torch.tensor(call.change.distance(name), dtype=torch.float64)
            slope, each = weight.abs().max() + radius, radius * below.abs()
            injected = radius * _largest_channel(below, len(weight))
        else:
            moved_by = call.change.elements_distance(name).expand_as(weight)
            radius, slope = moved_by.max(), changed.abs().max()
            each = torch.nn.functional.prelu(below, moved_by).abs()
            injected = torch.linalg.vector_norm(each.flatten(1), dim=1)
        # clamp keeps NaN, of which there is no bound
        moved = edge.carried(value, slope.clamp(min=1.0), None)
        if edge.reach is not None:
            injected = injected + radius * edge.reach
            moved = replace(moved, reach=weight.abs().max().clamp(min=1.0) * edge.reach)
        if edge.elements is not None:
            moved = replace(moved, elements=slope.clamp(min=1.0) * edge.elements + each)
        return replace(moved, deviation=moved.deviation + injected)


def _largest_channel(below: Tensor, weights: int) -> Tensor:
    """The largest l2 norm of the numbers that share a weight, (N,)."""
    # axis 1 has the channels
    shared = below.reshape(len(below), weights, -1)
    largest: Tensor = torch.linalg.vector_norm(shared, dim=2).amax(1)
    return largest
