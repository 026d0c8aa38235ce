"""LAMB: Adam's direction, in steps that are a fraction of each tensor's own norm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from netdistance.optim.base import Layer, LayerwiseOptimizer, real
from netdistance.optim.layerwise import Number, Rule
from netdistance.optim.norms import widened


class LAMB(LayerwiseOptimizer):
    """Layerwise adaptive moments: W <- W - lr phi(|W|_F)/|u|_F u, where

        M <- beta1 M + (1 - beta1) g,   V <- beta2 V + (1 - beta2) g^2,   from M = V = 0,
        u = (M / (1 - beta1^t)) / (sqrt(V / (1 - beta2^t)) + eps) + weight_decay W

    Source: You et al. 2019, arXiv 1904.00962, Algorithm 2; written from the formula. phi is the
    identity, or cuts |W|_F to `clamp` = (lowest, highest). Defaults are the paper's.

    `lr` is the size of a step relative to the tensor. Every tensor is a layer of its own, biases
    and gains included. With weight decay a tensor whose gradient has always been 0 shrinks by lr
    each step, as the formula says.

    `lr`, `maximize`, `foreach`, `capturable`, `differentiable`, and what happens where a norm is
    zero or extreme, are those of `Fromage`, with u for the gradient. The state is `step`,
    `exp_avg` (M) and `exp_avg_sq` (V), float32 or wider. As in torch's Adam, the derivative of
    sqrt(V) is infinite at V = 0: a differentiable step needs gradients without zeros.

    >>> weight = torch.nn.Parameter(torch.tensor([3.0, -4.0]))
    >>> weight.grad = torch.tensor([0.1, -20.0])
    >>> LAMB([weight], lr=0.1, weight_decay=0.0, eps=0.0).step()
    >>> [round(x, 4) for x in weight.tolist()]
    [2.6464, -3.6464]

    Raises:
        ValueError: a negative or NaN `lr`, `eps` or `weight_decay`, a beta outside [0, 1), a
            `clamp` that is no pair 0 <= lowest <= highest, or both `foreach` and
            `differentiable`, in any group.
        RuntimeError: from `step`, before anything moves, when a gradient is sparse.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.001,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        clamp: tuple[float, float] | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "clamp": clamp,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, options)

    def _validate(self, options: dict[str, Any]) -> None:
        super()._validate(options)
        for name in ("eps", "weight_decay"):
            if not options[name] >= 0.0:
                raise ValueError(f"Invalid {name} value: {options[name]}")
        for number, beta in enumerate(options["betas"]):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {number}: {beta}")
        clamp = options["clamp"]
        if clamp is not None and not 0.0 <= clamp[0] <= clamp[1]:
            raise ValueError(f"Invalid clamp value: {clamp}")

    def _move(self, group: dict[str, Any], layers: list[Layer], rule: Rule) -> None:
        weights = [layer.weight for layer in layers]
        directions = self._directions(group, layers)
        norms = rule.norms([*weights, *directions])
        weight_norms, scales = norms[: len(layers)], norms[len(layers) :]
        if group["clamp"] is not None:
            weight_norms = [_clamped(norm, *group["clamp"]) for norm in weight_norms]
        lr = rule.number(group["lr"], weights[0])
        steps = [
            rule.step(direction, weight_norm=weight_norm, scale=scale, lr=lr, keep=1.0)
            for direction, weight_norm, scale in zip(directions, weight_norms, scales, strict=True)
        ]
        rule.move(weights, steps)

    def _directions(self, group: dict[str, Any], layers: list[Layer]) -> list[Tensor]:
        """Each layer's u, float32 or wider; the moments move on."""
        (beta1, beta2), eps, decay = group["betas"], group["eps"], group["weight_decay"]
        gradients = [widened(layer.gradient) for layer in layers]
        if group["maximize"]:
            gradients = [-gradient for gradient in gradients]
        states = [self._state(layer.parameter, group) for layer in layers]
        first = [real(state["exp_avg"]) for state in states]
        second = [real(state["exp_avg_sq"]) for state in states]
        torch._foreach_lerp_(first, gradients, 1.0 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1.0 - beta2)
        counts = [_count(state["step"], group) for state in states]
        spreads = torch._foreach_div(
            torch._foreach_sqrt(second), [(1.0 - beta2**count) ** 0.5 for count in counts]
        )
        torch._foreach_add_(spreads, eps)
        directions = torch._foreach_div(first, spreads)
        torch._foreach_div_(directions, [1.0 - beta1**count for count in counts])
        if decay != 0.0:
            weights = [widened(layer.weight) for layer in layers]
            torch._foreach_add_(directions, weights, alpha=decay)
        return list(directions)

    def _state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state: dict[str, Any] = self.state[parameter]
        if not state:
            device = parameter.device if group["capturable"] else "cpu"
            state["step"] = torch.zeros((), dtype=torch.float32, device=device)
            for name in ("exp_avg", "exp_avg_sq"):
                state[name] = torch.zeros_like(widened(parameter.detach()))
        if group["differentiable"]:
            # the last step's graph still needs the moments that it divided
            state["exp_avg"], state["exp_avg_sq"] = (
                state["exp_avg"].clone(), state["exp_avg_sq"].clone(),
            )  # fmt: skip
        state["step"] += 1.0
        return state


def _count(step: Tensor, group: dict[str, Any]) -> Number:
    """The step count for a power in float64: 1 - 0.999^1 has three digits less than its dtype."""
    if group["capturable"] or torch.compiler.is_compiling():
        return step.to(torch.float32 if step.device.type == "mps" else torch.float64)
    return step.item()


def _clamped(norm: Number, lowest: float, highest: float) -> Number:
    if isinstance(norm, Tensor):
        return norm.clamp(lowest, highest)
    return min(max(norm, lowest), highest)
