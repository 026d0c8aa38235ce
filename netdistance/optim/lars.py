"""LARS: momentum over steps that are a fraction of each tensor's own norm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from netdistance.optim.base import Layer, LayerwiseOptimizer, real
from netdistance.optim.layerwise import Rule, Step
from netdistance.optim.norms import widened


class LARS(LayerwiseOptimizer):
    """Layerwise adaptive rates: with d = g + weight_decay W,

        V <- momentum V + lr |W|_F / (|g|_F + weight_decay |W|_F) d
        W <- W - V

    Source: You, Gitman and Ginsburg 2017, arXiv 1708.03888, Algorithm 1; written from the formula.
    `lr` is the paper's global rate times its trust coefficient (0.001 there): only their product
    matters. Without momentum it is the size of a step relative to the tensor. The rate is adapted
    always and for every tensor, biases and gains included, also where `weight_decay` is 0.

    With neither momentum nor weight decay, the defaults, this is Fromage without its stability
    correction, bit for bit. The paper trains with momentum 0.9 and weight decay 0.0005. With
    weight decay a tensor whose gradient is 0 shrinks by lr each step, as the formula says.

    `lr`, `maximize`, `foreach`, `capturable`, `differentiable`, and what happens where a norm is
    zero or extreme, are those of `Fromage`. The state `momentum_buffer` is V, float32 or wider.

    >>> weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    >>> weight.grad = torch.tensor([-0.8, 0.6])
    >>> LARS([weight], lr=0.5).step()
    >>> [round(x, 4) for x in weight.tolist()]
    [5.0, 2.5]

    Raises:
        ValueError: a negative or NaN `lr`, `momentum` or `weight_decay`, or both `foreach` and
            `differentiable`, in any group.
        RuntimeError: from `step`, before anything moves, when a gradient is sparse.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.01,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, options)

    def _validate(self, options: dict[str, Any]) -> None:
        super()._validate(options)
        for name in ("momentum", "weight_decay"):
            if not options[name] >= 0.0:
                raise ValueError(f"Invalid {name} value: {options[name]}")

    def _move(self, group: dict[str, Any], layers: list[Layer], rule: Rule) -> None:
        weights = [layer.weight for layer in layers]
        steps = _steps(group, layers, rule)
        if group["momentum"] == 0.0:
            rule.move(weights, steps)
            return
        buffers = [self._buffer(layer.parameter) for layer in layers]
        # V grows along the step, so the sign that takes the step from W is turned
        grown = [step._replace(keep=group["momentum"], add=-step.add) for step in steps]
        rule.move(buffers, grown)
        rule.move(weights, [Step(buffer, 1.0, -1.0) for buffer in buffers])

    def _buffer(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(widened(parameter.detach()))
        return real(state["momentum_buffer"])


def _steps(group: dict[str, Any], layers: list[Layer], rule: Rule) -> list[Step]:
    weights = [layer.weight for layer in layers]
    gradients = [layer.gradient for layer in layers]
    if group["maximize"]:
        gradients = [-gradient for gradient in gradients]
    norms = rule.norms([*weights, *gradients])
    weight_norms, scales = norms[: len(layers)], norms[len(layers) :]
    if decay := group["weight_decay"]:
        gradients = [
            widened(gradient).add(weight, alpha=decay)
            for gradient, weight in zip(gradients, weights, strict=True)
        ]
        scales = [scale + decay * norm for scale, norm in zip(scales, weight_norms, strict=True)]
    lr = rule.number(group["lr"], weights[0])
    return [
        rule.step(gradient, weight_norm=weight_norm, scale=scale, lr=lr, keep=1.0)
        for gradient, weight_norm, scale in zip(gradients, weight_norms, scales, strict=True)
    ]
