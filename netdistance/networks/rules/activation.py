"""Elementwise activations: |phi(x) - phi(y)| <= L |x - y|."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from netdistance.networks.rules.base import Call, Edge


class ReluRule:
    """L = 1, P = 0: max(x, 0) is a projection."""

    name = "relu"

    def matches(self, call: Call) -> bool:
        """Whether the operator is a ReLU, in any of its spellings."""
        return type(call.module) is nn.ReLU or call.is_function(
            torch.relu, torch.relu_, functional.relu, functional.relu_, "relu", "relu_"
        )

    def apply(self, call: Call) -> Edge:
        """The same bound on the deviation."""
        edge = call.edges[0]
        return Edge(edge.value.clamp(min=0.0), edge.deviation)
