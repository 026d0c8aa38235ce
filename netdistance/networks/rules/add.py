"""Sums and differences, as in a residual connection, and a number or a tensor of the state."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from netdistance.networks.rules.base import Call, ConstantFactor, Edge, Parameter, repeats_to

_SUMS = (operator.add, operator.iadd, torch.add, "add", "add_")
_DIFFERENCES = (operator.sub, operator.isub, torch.sub, torch.subtract, "sub", "sub_")


class AddRule(ConstantFactor):
    """D_out = d_1 + d_2, by the triangle inequality; a constant adds nothing.

    A tensor p of the state that is added R times to each input adds |p~ - p| sqrt(R).
    """

    name = "add"

    def matches(self, call: Call) -> bool:
        """Whether equal shapes, numbers, or a tensor of the state are added, without a factor."""
        if not call.is_function(*_SUMS, *_DIFFERENCES):
            return False
        if call.kwargs or not call.edges or len(call.args) != 2:
            return False
        shapes = {edge.value.shape for edge in call.edges}
        plain = all(isinstance(arg, Edge | Parameter | int | float) for arg in call.args)
        # broadcasting would repeat a deviation
        return plain and len(shapes) == 1 and all(_fits(p, call) for p in call.parameters)

    def apply(self, call: Call) -> Edge:
        """The sum or difference, and the sum of the bounds."""
        deviation = torch.stack([edge.deviation for edge in call.edges]).sum(0)
        elements = summed([edge.elements for edge in call.edges])
        for parameter in call.parameters:
            repeats = call.edges[0].value[0].numel() / parameter.value.numel()
            distance = call.change.distance(parameter.name)
            deviation = deviation + distance * math.sqrt(repeats)
            if elements is not None:
                elements = elements + call.change.elements_distance(parameter.name)
        reach = summed([edge.reach for edge in call.edges])
        return Edge(call.evaluate(), deviation, elements, reach)


def summed(bounds: Sequence[Tensor | None]) -> Tensor | None:
    """The sum of bounds; unknown where one of them is."""
    known = [bound for bound in bounds if bound is not None]
    return torch.stack(known).sum(0) if len(known) == len(bounds) else None


def _fits(parameter: Parameter, call: Call) -> bool:
    """Whether a tensor of the state goes to every input alike, and makes none larger."""
    shape, own = call.edges[0].value.shape, parameter.value.shape
    alike = len(own) < len(shape) or (len(own) == len(shape) and own[0] == 1)
    return alike and parameter.value.numel() > 0 and repeats_to(own, shape)


class ConcatenationRule(ConstantFactor):
    """D_out = sqrt(d_1^2 + d_2^2 + ...) along any axis but the batch."""

    name = "concatenation"

    def matches(self, call: Call) -> bool:
        """Whether the operator joins values of the network alone, along another axis."""
        joined = (torch.cat, torch.concat, torch.concatenate, torch.stack)
        if not call.is_function(*joined):
            return False
        given = call.settings("dim")
        parts = call.args[0] if call.args else ()
        if given is None or not isinstance(parts, list | tuple) or not parts:
            return False
        if not all(isinstance(part, Edge) for part in parts):
            return False
        # a new axis, or the batch, moves to the front
        axes = parts[0].value.ndim + (call.node.target is torch.stack)
        return bool(given.get("dim", 0) % axes)

    def apply(self, call: Call) -> Edge:
        """The joined value."""
        reaches = [edge.reach for edge in call.edges if edge.reach is not None]
        whole = len(reaches) == len(call.edges)
        # hypot: a square of 1e-200 is 0
        deviation = reduce(torch.hypot, [edge.deviation for edge in call.edges])
        reach = reduce(torch.hypot, reaches) if whole else None
        return Edge(call.evaluate(), deviation, call.elements, reach)
