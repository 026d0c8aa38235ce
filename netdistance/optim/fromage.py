"""Fromage: every tensor moves by the same fraction of its own norm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

# A float32 sum drifts with its number of terms: vector_norm on CPU is off by 2e-4 at 8M elements,
# blocks of this size summed in float64 by 5e-7 (torch 2.13).
_BLOCK = 2**20
# Outside of this range lr * |W| / |g| is not safe to hand to a float32 kernel as a scalar.
_SMALLEST_FACTOR, _LARGEST_FACTOR = 1e-30, 1e30


class Fromage(Optimizer):
    """Steps of a fixed relative size: W <- (W - lr |W|_F/|g|_F g) / sqrt(1 + lr^2).

    Source: Bernstein, Vahdat, Yue and Liu 2020, arXiv 2002.03432, Algorithm 1; written from the
    formula. Each tensor is a layer of its own, biases and gains included.

    `lr` is the size of a step relative to the tensor, 0.01 in the paper (0.001 to fine-tune).
    `p_bound` keeps |W|_F at most p_bound |W_0|_F, where W_0 is the tensor at its first step with
    a `p_bound`; a tensor with W_0 = 0 is not capped. `stability_correction` is the division by
    sqrt(1 + lr^2): it cancels the growth of a tensor whose gradient is orthogonal to it. Without
    it the rule is what the paper calls LARS. `maximize` climbs.

    Where the formula has no meaning:

    - g = 0: nothing moves, the correction included;
    - W = 0, g != 0: the plain step W <- -lr g, for a zero tensor has no scale of its own. A bias
      that starts at zero is therefore locked to steps relative to its first small one: prefer
      a random initial bias;
    - a gradient with NaN or infinity makes the tensor NaN: check it, or use a GradScaler.

    Norms are accumulated in float32 or wider whatever the parameter's dtype, and neither |g| nor
    |W|/|g| under- or overflows. In bfloat16 the stored step is coarser than asked below
    lr = 0.01: elements are rounded to 8 significant bits.

    >>> weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    >>> weight.grad = torch.tensor([-0.8, 0.6])
    >>> Fromage([weight], lr=0.75).step()
    >>> [round(x, 4) for x in weight.tolist()]
    [4.8, 1.4]

    Raises:
        ValueError: a negative or NaN `lr`, or a `p_bound` that is not positive, in any group.
        RuntimeError: from `step`, before anything moves, when a gradient is sparse.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.01,
        *,
        p_bound: float | None = None,
        stability_correction: bool = True,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "p_bound": p_bound,
            "stability_correction": stability_correction,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickled optimiser; options that its version did not have take defaults."""
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("p_bound", None)
            group.setdefault("stability_correction", True)
            group.setdefault("maximize", False)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group after its options, and the defaults it leaves open, are validated."""
        _validate({**self.defaults, **param_group})
        super().add_param_group(param_group)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move every tensor that has a gradient; the closure's loss, if there is a closure."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._refuse_sparse()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.numel() > 0:
                    self._move(parameter, group)
        return loss

    def _refuse_sparse(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.layout != torch.strided:
                    raise RuntimeError(
                        f"Fromage does not support sparse gradients: got {parameter.grad.layout} "
                        f"for a parameter of shape {tuple(parameter.shape)}; make the gradient "
                        "dense (nn.Embedding(sparse=False))"
                    )

    def _move(self, parameter: Tensor, group: dict[str, Any]) -> None:
        weight, gradient = _real(parameter), _real(parameter.grad)
        weight_norm = _frobenius(weight)
        cap = self._cap(parameter, weight_norm, group["p_bound"])
        lr = float(group["lr"])
        if not _relative_step(
            weight,
            gradient,
            weight_norm=weight_norm,
            lr=-lr if group["maximize"] else lr,
            stability_correction=group["stability_correction"],
        ):
            return
        if cap is not None and (norm := _frobenius(weight)) > cap:
            weight.mul_(cap / norm)

    def _cap(self, parameter: Tensor, weight_norm: float, p_bound: float | None) -> float | None:
        """The largest norm that the parameter may have, or None."""
        if p_bound is None:
            return None
        # a Python float: load_state_dict would cast a tensor to the parameter's own dtype
        initial_norm: float = self.state[parameter].setdefault("initial_norm", weight_norm)
        return p_bound * initial_norm if initial_norm > 0.0 else None


def _validate(options: dict[str, Any]) -> None:
    lr, p_bound = options["lr"], options["p_bound"]
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not lr >= 0.0:
        raise ValueError(f"Invalid learning rate: {lr}")
    if p_bound is not None and not p_bound > 0.0:
        raise ValueError(f"Invalid p_bound value: {p_bound}")


def _real(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _relative_step(
    weight: Tensor,
    gradient: Tensor,
    *,
    weight_norm: float,
    lr: float,
    stability_correction: bool,
) -> bool:
    """Whether the weight moved: in place, by lr |W|/|g| g against the gradient."""
    gradient_norm = _frobenius(gradient)
    if gradient_norm == 0.0:
        return False
    if weight_norm == 0.0:
        _combine(weight, gradient, keep=1.0, add=-lr)
        return True
    keep = 1.0 / math.hypot(1.0, lr) if stability_correction else 1.0
    factor = lr * (weight_norm / gradient_norm)
    if not _SMALLEST_FACTOR < abs(factor) < _LARGEST_FACTOR:
        # |W|/|g| may overflow where the step itself does not: divide by the largest first
        direction = gradient / gradient.abs().max()
        gradient = direction.mul_(lr * weight_norm / _frobenius(direction))
        factor = 1.0
    _combine(weight, gradient, keep=keep, add=-keep * factor)
    return True


def _combine(weight: Tensor, gradient: Tensor, *, keep: float, add: float) -> None:
    """The weight as keep weight + add gradient, in place and rounded once to the weight's dtype."""
    if weight.dtype in (torch.float16, torch.bfloat16):
        weight.copy_(weight.float().mul_(keep).add_(gradient, alpha=add))
    elif keep == 1.0:
        weight.add_(gradient, alpha=add)
    elif weight.is_contiguous() and gradient.is_contiguous():
        # addr is the one torch kernel that scales both terms: a third less time than two passes
        weight.view(-1, 1).addr_(gradient.view(-1), weight.new_ones(1), beta=keep, alpha=add)
    else:
        weight.mul_(keep).add_(gradient, alpha=add)


def _frobenius(tensor: Tensor) -> float:
    """|tensor|_F in float32 or wider, right also where the squares of its elements are not."""
    norm = _plain_norm(tensor)
    # above the root of the smallest normal number no square that counts has underflowed
    if (1e-150 if tensor.dtype == torch.float64 else 1e-15) < norm < math.inf:
        return norm
    largest = tensor.abs().max()
    if largest == 0.0 or not math.isfinite(largest):
        return float(largest)
    # by a tensor, not by a float: a scalar divisor may become a reciprocal, which can overflow
    return float(largest) * _plain_norm(tensor / largest)


def _plain_norm(tensor: Tensor) -> float:
    if tensor.device.type != "cpu" or not tensor.is_contiguous():
        wide = torch.promote_types(tensor.dtype, torch.float32)
        return float(torch.linalg.vector_norm(tensor, dtype=wide))
    flat = tensor.view(-1)
    if flat.numel() <= _BLOCK:
        return math.sqrt(_squared_norm(flat))
    starts = range(0, flat.numel(), _BLOCK)
    return math.sqrt(math.fsum(_squared_norm(flat[i : i + _BLOCK]) for i in starts))


def _squared_norm(vector: Tensor) -> float:
    if vector.dtype in (torch.float16, torch.bfloat16):
        vector = vector.float()
    # half the time of vector_norm with two threads, and less overhead on small tensors
    return float(torch.dot(vector, vector))
