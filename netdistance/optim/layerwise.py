"""The one rule of the layerwise relative optimisers: a step is lr |W|_F over the scale of u.

    W <- keep (W - lr (|W|_F / scale) u)

for a direction u and its scale, |u|_F as a rule. Where the formula has no meaning:

- scale = 0: nothing moves, `keep` included;
- |W| = 0, scale != 0: the plain step W <- -lr u, for a zero tensor has no scale of its own.

It is written twice, because a captured or differentiated step must not read a number back:
`FloatRule` has norms as Python floats and works in place; `TensorRule` has them as
0-dimensional tensors, decides by torch.where, and lets gradients through.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from netdistance.optim.norms import (
    frobenius,
    frobenius_norms,
    frobenius_tensor,
    norm_dtype,
    scaled_to_one,
    widened,
)

Number = float | Tensor  # a Python float, or a 0-dimensional tensor

# Outside of this range lr |W| / scale is not safe to hand to a float32 kernel as a scalar.
_SMALLEST_FACTOR, _LARGEST_FACTOR = 1e-30, 1e30
# Below it the one pass of _combine, which takes 1 - keep of the tensor away, loses digits.
_LEAST_KEPT = 0.5
# Outside of this one it is not safe to divide a whole tensor by it for a while.
_SMALLEST_DIVISOR, _LARGEST_DIVISOR = 1e-15, 1e15


class Step(NamedTuple):
    """What becomes of a tensor: keep tensor + add direction."""

    direction: Tensor  # the shape of the tensor
    keep: Number
    add: Number


class Rule(Protocol):
    """How norms are held and tensors are moved. Tensors are real and not empty."""

    def number(self, value: Number, beside: Tensor) -> Number:
        """A setting that may be a tensor, for arithmetic beside a tensor of parameters."""

    def norms(self, tensors: Sequence[Tensor]) -> Sequence[Number]:
        """|tensor|_F of each."""

    def step(
        self, direction: Tensor, *, weight_norm: Number, scale: Number, lr: Number, keep: Number
    ) -> Step:
        """The rule above for one tensor; a negative lr climbs."""

    def move(self, targets: Sequence[Tensor], steps: Sequence[Step]) -> None:
        """Take each step, rounded once to the dtype of its target."""

    def shrink(
        self, targets: Sequence[Tensor], caps: Sequence[Number], steps: Sequence[Step]
    ) -> None:
        """Scale each target that its step moved down to a norm of its cap, where it is beyond."""


class FloatRule:
    """Python floats, in place. Several targets of one dtype and device are moved together."""

    def number(self, value: Number, beside: Tensor) -> float:
        """The value as a Python float; waits for the device of a tensor."""
        return float(value)

    def norms(self, tensors: Sequence[Tensor]) -> Sequence[Number]:
        """|tensor|_F of each as a Python float."""
        return frobenius_norms(tensors)

    def step(
        self, direction: Tensor, *, weight_norm: Number, scale: Number, lr: Number, keep: Number
    ) -> Step:
        """The rule for one tensor, from floats."""
        weight_norm, scale, lr, keep = float(weight_norm), float(scale), float(lr), float(keep)
        if scale == 0.0:
            return Step(direction, 1.0, 0.0)
        if weight_norm == 0.0:
            return Step(direction, 1.0, -lr)
        factor = lr * (weight_norm / scale)
        if not _SMALLEST_FACTOR < abs(factor) < _LARGEST_FACTOR:
            # |W|/scale may overflow where the step itself does not: divide by the largest first
            unit, largest = scaled_to_one(direction)
            direction = unit.mul_(lr * weight_norm * (float(largest) / scale))
            factor = 1.0
        return Step(direction, keep, -keep * factor)

    def move(self, targets: Sequence[Tensor], steps: Sequence[Step]) -> None:
        """Take each step in place; those that change nothing leave the bits alone."""
        pairs = [pair for pair in zip(targets, steps, strict=True) if pair[1][1:] != (1.0, 0.0)]
        together = [pair for pair in pairs if len(pairs) > 1 and _is_divisor(pair[1].add)]
        if together:
            _combine_together(*zip(*together, strict=True))
        for target, step in pairs:
            if not together or not _is_divisor(step.add):
                _combine(target, step.direction, keep=float(step.keep), add=float(step.add))

    def shrink(
        self, targets: Sequence[Tensor], caps: Sequence[Number], steps: Sequence[Step]
    ) -> None:
        """Scale down in place what moved beyond its cap."""
        for target, cap, step in zip(targets, map(float, caps), steps, strict=True):
            if step.add != 0.0 and (norm := frobenius(target)) > cap:
                target.mul_(cap / norm)


class TensorRule:
    """0-dimensional tensors and torch.where: nothing is read back, gradients flow."""

    def number(self, value: Number, beside: Tensor) -> Number:
        """The value; a tensor in float64, where the device has it."""
        return value.reshape(()).to(norm_dtype(beside)) if isinstance(value, Tensor) else value

    def norms(self, tensors: Sequence[Tensor]) -> Sequence[Number]:
        """|tensor|_F of each as a tensor."""
        return [frobenius_tensor(tensor) for tensor in tensors]

    def step(
        self, direction: Tensor, *, weight_norm: Number, scale: Number, lr: Number, keep: Number
    ) -> Step:
        """The rule for one tensor, from tensors: both cases are computed, one is taken."""
        assert isinstance(weight_norm, Tensor)
        assert isinstance(scale, Tensor)
        unit, largest = scaled_to_one(direction)
        largest = largest.to(scale.dtype)
        still, zero = scale == 0.0, weight_norm == 0.0
        # the unused side of a where must be finite too: its gradient is multiplied by zero
        relative = weight_norm * (largest / torch.where(still, 1.0, scale))
        # a where over two Python floats would be float32
        kept = torch.where(still | zero, torch.ones_like(scale), keep)
        add = torch.where(still, 0.0, -lr * kept * torch.where(zero, largest, relative))
        return Step(unit, kept, add)

    def move(self, targets: Sequence[Tensor], steps: Sequence[Step]) -> None:
        """Write keep target + add direction, made beside the target, into it."""
        for target, step in zip(targets, steps, strict=True):
            # a copy where gradients flow: a keep that needs one saves the tensor that it scales
            source = target.clone() if torch.is_grad_enabled() else target
            target.copy_(widened(source) * step.keep + step.direction * step.add)

    def shrink(
        self, targets: Sequence[Tensor], caps: Sequence[Number], steps: Sequence[Step]
    ) -> None:
        """Scale every target, by 1 where it did not move or is within its cap."""
        for target, cap, step in zip(targets, caps, steps, strict=True):
            assert isinstance(step.add, Tensor)
            source = target.clone() if torch.is_grad_enabled() else target
            norm = frobenius_tensor(source)
            beyond = (step.add != 0.0) & (norm > cap)
            target.copy_(source * torch.where(beyond, cap / torch.where(beyond, norm, 1.0), 1.0))


def stability_factor(lr: Number) -> Number:
    """1/sqrt(1 + lr^2): what cancels the growth of a tensor under steps orthogonal to it."""
    if isinstance(lr, Tensor):
        return torch.rsqrt(1.0 + lr * lr)
    return 1.0 / math.hypot(1.0, lr)


def _is_divisor(add: Number) -> bool:
    return _SMALLEST_DIVISOR < abs(float(add)) < _LARGEST_DIVISOR


def _combine_together(targets: Sequence[Tensor], steps: Sequence[Step]) -> None:
    """All targets at once, in place, as add ((keep/add) target + direction): no temporary."""
    wide = [widened(target) for target in targets]
    directions = [step.direction.to(wide[0].dtype) for step in steps]
    keeps, adds = [float(step.keep) for step in steps], [float(step.add) for step in steps]
    if set(keeps) == {1.0} and len(set(adds)) == 1:
        torch._foreach_add_(wide, directions, alpha=adds[0])
    else:
        torch._foreach_mul_(wide, [keep / add for keep, add in zip(keeps, adds, strict=True)])
        torch._foreach_add_(wide, directions)
        torch._foreach_mul_(wide, adds)
    if wide[0].dtype != targets[0].dtype:
        torch._foreach_copy_(list(targets), wide)


def _combine(target: Tensor, direction: Tensor, *, keep: float, add: float) -> None:
    """The target as keep target + add direction, in place, rounded once to its dtype."""
    if target.dtype in (torch.float16, torch.bfloat16):
        target.copy_(widened(target).mul_(keep).add_(direction, alpha=add))
    elif keep == 1.0:
        target.add_(direction, alpha=add)
    elif keep > _LEAST_KEPT and _is_divisor(add) and _in_one_order(target, direction):
        # the one kernel on a CPU that scales both terms in one pass: SGD with weight decay,
        # target - rate (direction + decay target) at rate = -add, rate decay = 1 - keep
        torch._fused_sgd_(
            [target], [direction], [], lr=-add, weight_decay=(keep - 1.0) / add, momentum=0.0,
            dampening=0.0, nesterov=False, maximize=False, is_first_step=False,
        )  # fmt: skip
    else:
        target.mul_(keep).add_(direction, alpha=add)


def _in_one_order(target: Tensor, direction: Tensor) -> bool:
    """Whether elements of both are in memory one after another, on a CPU and of one dtype."""
    flat = target.is_contiguous() and direction.is_contiguous()
    return flat and target.is_cpu and target.dtype == direction.dtype
