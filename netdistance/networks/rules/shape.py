"""Operators that move numbers without changing them: reshapes keep the l2 norm of a deviation."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from netdistance.networks.rules.base import Call, ConstantFactor, Edge

_RESHAPES = (torch.flatten, torch.reshape, torch.unflatten, torch.clone,
             "flatten", "view", "reshape", "unflatten", "contiguous", "clone")  # fmt: skip
_DROPOUTS = (functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d)
_DROPOUT_MODULES = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


class ReshapeRule(ConstantFactor):
    """L = 1, P = 0. Dropout in eval mode is the identity."""

    name = "reshape"

    def matches(self, call: Call) -> bool:
        """Whether the operator is a flatten, reshape, view, identity or dropout in eval mode."""
        if isinstance(call.module, _DROPOUT_MODULES):
            return not call.module.training
        if isinstance(call.module, nn.Flatten | nn.Identity | nn.Unflatten):
            return True
        if call.is_function(*_DROPOUTS):
            given = call.settings("p", "training", "inplace")
            return call.is_unary and given is not None and given.get("training") is False
        return call.is_function(*_RESHAPES) and call.is_unary

    def apply(self, call: Call) -> Edge:
        """The same deviation, reshaped."""
        return call.edges[0].carried(call.evaluate(), 1.0, call.elements)


class SizeRule(ConstantFactor):
    """Sizes, and arithmetic on them: plain numbers that no weight changes."""

    name = "size"

    def matches(self, call: Call) -> bool:
        """Whether the operator asks a shape, or computes with plain numbers alone."""
        if call.is_function("size", "dim", "numel") and call.is_unary:
            return True
        if call.is_function(getattr) and call.is_unary and call.args[1] in ("shape", "ndim"):
            return True
        arithmetic = (operator.getitem, operator.mul, operator.floordiv, operator.add, operator.sub,
                      operator.truediv, operator.mod, operator.neg)  # fmt: skip
        return call.is_function(*arithmetic) and not call.edges and not call.parameters

    def apply(self, call: Call) -> Any:
        """The plain number or size."""
        return call.evaluate()
