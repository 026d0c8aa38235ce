"""Products: with a number, with a tensor of the state, and of two values."""

from __future__ import annotations

import operator

import torch
from torch import Tensor

from netdistance.networks.rules.base import Call, ConstantFactor, Edge, Parameter, repeats_to

_PRODUCTS = (operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "mul_", "multiply")
_QUOTIENTS = (operator.truediv, operator.itruediv, torch.div, torch.divide, "div", "div_")
_NEGATIONS = (operator.neg, torch.neg, torch.negative, "neg", "neg_", "negative")


class ScaleRule(ConstantFactor):
    """L = |c| for a number c, P = 0."""

    name = "scale"

    def matches(self, call: Call) -> bool:
        """Whether a value is multiplied or divided by a number, or negated."""
        if call.kwargs or len(call.edges) != 1:
            return False
        others = [arg for arg in call.args if not isinstance(arg, Edge)]
        if call.is_function(*_NEGATIONS):
            return len(call.args) == 1
        if len(call.args) != 2 or not isinstance(others[0], int | float):
            return False
        divided = call.is_function(*_QUOTIENTS) and isinstance(call.args[0], Edge)
        return call.is_function(*_PRODUCTS) or (divided and others[0] != 0)

    def apply(self, call: Call) -> Edge:
        """The scaled value and bound."""
        edge = call.edges[0]
        factor = next((abs(arg) for arg in call.args if not isinstance(arg, Edge)), 1.0)
        divided = call.is_function(*_QUOTIENTS)
        elements = None if call.elements is None else call.elements.abs()
        return edge.carried(call.evaluate(), 1.0 / factor if divided else factor, elements)


class ProductRule(ConstantFactor):
    """D_out = |b|_inf d_a + d_b (spread(a) + d_a), for a b of the shape of a or broadcast to it.

    a~ b~ - a b = b (a~ - a) + a~ (b~ - b). Each number of b meets a group of numbers of a, a single
    one for equal shapes, and spread(a) is the largest l2 norm of a group. So |a~ (b~ - b)| is at
    most the largest norm of a group of a~, which is at most spread(a) + d_a, times d_b. For equal
    shapes the factors may be exchanged, and the smaller bound counts. A tensor of the state is a b
    with d_b = |b~ - b|.
    """

    name = "product"

    def matches(self, call: Call) -> bool:
        """Whether the operator multiplies two values, or one and a tensor of the state."""
        if call.kwargs or len(call.args) != 2 or not call.is_function(*_PRODUCTS):
            return False
        if not call.edges or not all(isinstance(arg, Edge | Parameter) for arg in call.args):
            return False
        whole, factor = _ordered(call)
        if not isinstance(whole, Edge) or factor.value.numel() == 0:
            return False
        shape, other = whole.value.shape, factor.value.shape
        # a tensor of the state goes to every input alike; two values face each other's inputs
        alike = len(other) < len(shape) or other[:1] == (1,)
        facing = alike if isinstance(factor, Parameter) else len(other) == len(shape)
        return facing and repeats_to(other, shape)

    def has_constant_factor(self, call: Call) -> bool:
        """With a tensor of the state; a product of two values grows with them."""
        return bool(call.parameters)

    def apply(self, call: Call) -> Edge:
        """The product."""
        a, b = _ordered(call)
        assert isinstance(a, Edge)
        if isinstance(b, Parameter):
            distance = torch.full_like(a.deviation, call.change.distance(b.name))
            shared = b.value.expand(*a.value.shape[:1], *_aligned(b.value, a.value).shape[1:])
            each = call.change.elements_distance(b.name).expand_as(b.value)
            each = _aligned(each, a.value).expand_as(shared)
            b = Edge(shared, distance, each, torch.zeros_like(distance))
        if a.reach is None or b.reach is None:
            return Edge(call.evaluate(), _smaller_bound(a, b), _elements(a, b))
        # how far the product itself reaches from the one at the centre
        reach = _smaller_bound(Edge(a.value, a.reach), Edge(b.value, b.reach))
        return Edge(call.evaluate(), _smaller_bound(a, b), reach=reach)


def _ordered(call: Call) -> tuple[Edge | Parameter, Edge | Parameter]:
    """The factor with more numbers first."""
    left, right = call.args
    swapped = isinstance(left, Parameter) or (
        isinstance(right, Edge) and right.value.numel() > left.value.numel()
    )
    return (right, left) if swapped else (left, right)


def _aligned(small: Tensor, large: Tensor) -> Tensor:
    return small.reshape(*[1] * (large.ndim - small.ndim), *small.shape)


def _elements(a: Edge, b: Edge) -> Tensor | None:
    """|b| e_a + e_b (|a| + e_a) at each number."""
    if a.elements is None or b.elements is None:
        return None
    return b.value.abs() * a.elements + b.elements * (a.value.abs() + a.elements)


def _smaller_bound(a: Edge, b: Edge) -> Tensor:
    bound = _bound(a, b)
    return torch.minimum(bound, _bound(b, a)) if a.value.shape == b.value.shape else bound


def _bound(a: Edge, b: Edge) -> Tensor:
    largest = b.rows.abs().amax(1) + (0.0 if b.reach is None else b.reach)
    shape = b.value.shape
    axes = [axis for axis, size in enumerate(a.value.shape) if shape[axis] == 1 and size != 1]
    squares = a.value.square()
    groups = squares.sum(axes, keepdim=True) if axes else squares
    spread = groups.sqrt().reshape(len(largest), -1).amax(1)
    spread = spread + (0.0 if a.reach is None else a.reach)
    return largest * a.deviation + b.deviation * (spread + a.deviation)
