"""Operators that move numbers without changing them: reshapes keep the l2 norm of a deviation."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import nn

from netdistance.networks.rules.base import Call, Edge

_RESHAPES = (torch.flatten, torch.reshape, "flatten", "view", "reshape", "contiguous")


class ReshapeRule:
    """L = 1, P = 0. Dropout in eval mode is the identity."""

    name = "reshape"

    def matches(self, call: Call) -> bool:
        """Whether the operator is a flatten, reshape, view, identity or dropout in eval mode."""
        if isinstance(call.module, nn.Dropout | nn.Dropout2d):
            return not call.module.training
        if isinstance(call.module, nn.Flatten | nn.Identity | nn.Unflatten):
            return True
        return call.is_function(*_RESHAPES) and len(call.edges) == 1

    def apply(self, call: Call) -> Edge:
        """The same deviation, reshaped."""
        return Edge(call.evaluate(), call.edges[0].deviation)


class SizeRule:
    """Sizes, and arithmetic on them: plain numbers that no weight changes."""

    name = "size"

    def matches(self, call: Call) -> bool:
        """Whether the operator asks a shape, or computes with plain numbers alone."""
        if call.is_function("size", "dim") and len(call.edges) == 1:
            return True
        if call.is_function(getattr) and call.args[1] == "shape":
            return True
        arithmetic = (operator.getitem, operator.mul, operator.floordiv, operator.add, operator.sub)
        return call.is_function(*arithmetic) and not call.edges

    def apply(self, call: Call) -> Any:
        """The plain number or size."""
        return call.evaluate()
