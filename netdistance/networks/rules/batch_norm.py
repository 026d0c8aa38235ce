"""torch.nn.BatchNorm1d, 2d, 3d in eval mode: y = g u + b, with u = (x - m) / sqrt(v + eps)."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from netdistance.networks.rules.base import Call, ConstantFactor, Edge, NoRuleError


class BatchNormRule(ConstantFactor):
    """One factor and offset per channel, of a known change or of every change in a ball.

    Known: with s = g / sqrt(v + eps) and t = b - s m of both networks, weights and running
    statistics alike, y~ - y = s~ (x~ - x) + (s~ - s) x + (t~ - t): L = max |s~|, and P is the norm
    of the rest, computed at x. Ball: only g and b move, by at most r and q in the Frobenius norm;
    then y~ - y = g~ (u~ - u) + (g~ - g) u + (b~ - b) with u~ - u = (x~ - x) / sqrt(v + eps), so
    that L = max (|g| + r) / sqrt(v + eps) and P = r max_c |u_c| + q sqrt(n), for the l2 norm of
    u over the n positions of channel c.
    """

    name = "batch_norm"

    def matches(self, call: Call) -> bool:
        """Whether the operator normalises a batch with running statistics of the state."""
        module = call.module
        if type(module) not in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
            return False
        assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)
        names = ("running_mean", "running_var", *(("weight", "bias") if module.affine else ()))
        own = all(f"{call.node.target}.{name}" in call.change.state for name in names)
        return own and call.is_unary and not module.training

    def apply(self, call: Call) -> Edge:
        """The normalised value.

        Raises:
            NoRuleError: a variance is not positive, or a running statistic moves in a ball.
        """
        module, edge = call.module, call.edges[0]
        assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)
        statistics = [f"{call.node.target}.running_mean", f"{call.node.target}.running_var"]
        names = [f"{call.node.target}.weight", f"{call.node.target}.bias"] if module.affine else []
        before = [call.change.state[name] for name in (*statistics, *names)]
        after = [call.change.changed(name) for name in (*statistics, *names)]
        if after[0] is None or after[1] is None:
            raise NoRuleError(f"operator {call.describe()} has statistics that move in a ball")
        for variance in (before[1], after[1]):
            if not bool((variance + module.eps > 0).all()):
                raise NoRuleError(f"operator {call.describe()} has a variance below 0")
        scale, offset = _affine(before, module.eps)
        value = _channels(scale, edge.value) * edge.value + _channels(offset, edge.value)
        reach = None if edge.reach is None else scale.abs().max() * edge.reach
        known = [tensor for tensor in after if tensor is not None]
        if len(known) < len(after):
            radii = [call.change.distance(name) for name in names]
            return replace(_in_ball(radii, before, module.eps, edge), value=value, reach=reach)
        scale_after, offset_after = _affine(known, module.eps)
        injected = _channels(scale_after - scale, edge.value) * edge.value
        injected = (injected + _channels(offset_after - offset, edge.value)).abs()
        injected = injected + _rounding(scale, scale_after, edge.value) * edge.value.abs()
        injected = injected + _rounding(offset, offset_after, edge.value)
        moved = torch.linalg.vector_norm(injected.flatten(1), dim=1)
        deviation = scale_after.abs().max() * edge.deviation + moved
        if edge.reach is not None:
            deviation = deviation + (scale_after - scale).abs().max() * edge.reach
        if edge.elements is None:
            return Edge(value, deviation, reach=reach)
        elements = _channels(scale_after.abs(), edge.value) * edge.elements + injected
        return Edge(value, deviation, elements, reach)


def _affine(tensors: list[Tensor], eps: float) -> tuple[Tensor, Tensor]:
    """The factor and offset of each channel from mean, variance and, where given, g and b."""
    mean, variance = tensors[:2]
    scale = 1.0 / torch.sqrt(variance + eps)
    scale = scale * tensors[2] if len(tensors) > 2 else scale
    offset = -scale * mean
    return scale, offset + tensors[3] if len(tensors) > 3 else offset


def _rounding(before: Tensor, after: Tensor, like: Tensor) -> Tensor:
    """What the difference of two numbers of each channel may be off by; 0 where they are equal."""
    # each is the result of five operations, and theirs
    off = 2e-15 * torch.maximum(before.abs(), after.abs())
    return _channels(torch.where(before == after, 0.0, off), like)


def _channels(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 2))


def _in_ball(radii: list[float], before: list[Tensor], eps: float, edge: Edge) -> Edge:
    """The bounds, of gain and bias that move by at most `radii`."""
    weight_radius, bias_radius = radii
    deviations = torch.sqrt(before[1] + eps)
    factors = (before[2].abs() + weight_radius) / deviations
    normalised = (edge.value - _channels(before[0], edge.value)) / _channels(deviations, edge.value)
    largest = normalised.reshape(*normalised.shape[:2], -1).square().sum(2).amax(1).sqrt()
    if edge.reach is not None:
        largest = largest + edge.reach / deviations.min()
    positions = math.prod(edge.value.shape[2:])
    deviation = factors.max() * edge.deviation + weight_radius * largest
    deviation = deviation + bias_radius * math.sqrt(positions)
    if edge.elements is None:
        return Edge(edge.value, deviation)
    injected = weight_radius * normalised.abs() + bias_radius
    return Edge(edge.value, deviation, _channels(factors, edge.value) * edge.elements + injected)
