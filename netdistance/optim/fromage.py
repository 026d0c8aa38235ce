"""Fromage: every tensor moves by the same fraction of its own norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from netdistance.optim.base import Layer, LayerwiseOptimizer
from netdistance.optim.layerwise import Number, Rule, stability_factor


class Fromage(LayerwiseOptimizer):
    """Steps of a fixed relative size: W <- (W - lr |W|_F/|g|_F g) / sqrt(1 + lr^2).

    Source: Bernstein, Vahdat, Yue and Liu 2020, arXiv 2002.03432, Algorithm 1; written from the
    formula. Each tensor is a layer of its own, biases and gains included.

    `lr` is the size of a step relative to the tensor, 0.01 in the paper (0.001 to fine-tune).
    `p_bound` keeps |W|_F at most p_bound |W_0|_F, where W_0 is the tensor at its first step with
    a `p_bound`; a tensor with W_0 = 0 is not capped. `stability_correction` is the division by
    sqrt(1 + lr^2): it cancels the growth of a tensor whose gradient is orthogonal to it. Without
    it the rule is what the paper calls LARS. `maximize` climbs. `foreach` moves all tensors of a
    device and dtype together, with one wait for all norms: by default on CUDA only, for on a CPU
    it is slower. `capturable` never reads a number back from the device, so that a CUDA graph can
    hold the step: give lr as a tensor to change it later. `differentiable` lets gradients flow
    through the step to the parameters before it, their gradients and a tensor lr.

    Where the formula has no meaning:

    - g = 0: nothing moves, the correction included;
    - W = 0, g != 0: the plain step W <- -lr g, for a zero tensor has no scale of its own. A bias
      that starts at zero is therefore locked to steps relative to its first small one: prefer
      a random initial bias;
    - a gradient with NaN or infinity makes the tensor NaN: check it, or use a GradScaler.

    Norms are accumulated in float32 or wider whatever the parameter's dtype, and neither |g| nor
    |W|/|g| under- or overflows. A stored step in bfloat16 is coarse: elements have 8 significant
    bits, and most do not move at all where lr is below 0.0039 (float16: 0.00049). The first such
    step warns.

    >>> weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    >>> weight.grad = torch.tensor([-0.8, 0.6])
    >>> Fromage([weight], lr=0.75).step()
    >>> [round(x, 4) for x in weight.tolist()]
    [4.8, 1.4]

    Raises:
        ValueError: a negative or NaN `lr`, a `p_bound` that is not positive, or both `foreach`
            and `differentiable`, in any group.
        RuntimeError: from `step`, before anything moves, when a gradient is sparse.
    """

    added_options: ClassVar[dict[str, Any]] = {
        "p_bound": None,
        "stability_correction": True,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.01,
        *,
        p_bound: float | None = None,
        stability_correction: bool = True,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "p_bound": p_bound,
            "stability_correction": stability_correction,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, options)

    def _validate(self, options: dict[str, Any]) -> None:
        super()._validate(options)
        p_bound = options["p_bound"]
        if p_bound is not None and not p_bound > 0.0:
            raise ValueError(f"Invalid p_bound value: {p_bound}")

    def _move(self, group: dict[str, Any], layers: list[Layer], rule: Rule) -> None:
        weights = [layer.weight for layer in layers]
        gradients = [layer.gradient for layer in layers]
        norms = rule.norms([*weights, *gradients])
        weight_norms, gradient_norms = norms[: len(layers)], norms[len(layers) :]
        lr = rule.number(group["lr"], weights[0])
        keep = stability_factor(lr) if group["stability_correction"] else 1.0
        lr = -lr if group["maximize"] else lr
        steps = [
            rule.step(gradient, weight_norm=weight_norm, scale=scale, lr=lr, keep=keep)
            for gradient, weight_norm, scale in zip(
                gradients, weight_norms, gradient_norms, strict=True
            )
        ]
        rule.move(weights, steps)
        if group["p_bound"] is not None:
            rule.shrink(weights, self._caps(group["p_bound"], layers, weight_norms), steps)

    def _caps(
        self, p_bound: float, layers: list[Layer], norms_before: Sequence[Number]
    ) -> list[Number]:
        """The largest norm that each parameter may have."""
        caps = []
        for layer, norm in zip(layers, norms_before, strict=True):
            initial = self.state[layer.parameter].setdefault(
                "initial_norm", norm.detach() if isinstance(norm, Tensor) else norm
            )
            caps.append(_cap(p_bound, initial))
        return caps


def _cap(p_bound: float, initial: Number) -> Number:
    if isinstance(initial, Tensor):
        return torch.where(initial > 0.0, p_bound * initial, math.inf)
    return p_bound * initial if initial > 0.0 else math.inf
