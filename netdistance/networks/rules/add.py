"""Sums of two values, as in a residual connection, or of a value and a constant."""

from __future__ import annotations

import operator

import torch

from netdistance.networks.rules.base import Call, Edge


class AddRule:
    """D_out = d_1 + d_2, by the triangle inequality; a constant adds nothing."""

    name = "add"

    def matches(self, call: Call) -> bool:
        """Whether the operator adds equal shapes, or a number, without a factor."""
        if not call.is_function(operator.add, operator.iadd, torch.add, "add", "add_"):
            return False
        if call.kwargs or not call.edges or len(call.args) != 2:
            return False
        shapes = {edge.value.shape for edge in call.edges}
        others = [arg for arg in call.args if not isinstance(arg, Edge)]
        # broadcasting would repeat a deviation
        return len(shapes) == 1 and all(isinstance(arg, int | float) for arg in others)

    def apply(self, call: Call) -> Edge:
        """The sum, and the sum of the bounds."""
        deviation = torch.stack([edge.deviation for edge in call.edges]).sum(0)
        return Edge(_plain_sum(call), deviation)


def _plain_sum(call: Call) -> torch.Tensor:
    # not in place: an earlier edge may be used again
    left, right = (a.value if isinstance(a, Edge) else a for a in call.args)
    result: torch.Tensor = left + right
    return result
