"""The optimisers that a comparison can name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch.nn import Parameter

from netdistance.errors import UsageError
from netdistance.optim import Fromage


@dataclass(frozen=True, slots=True)
class OptimizerChoice:
    """A name, what its settings are, and how to build it for a learning rate."""

    name: str
    settings: str
    build: Callable[[Iterable[Parameter], float], torch.optim.Optimizer]


def _fromage(parameters: Iterable[Parameter], lr: float) -> torch.optim.Optimizer:
    return Fromage(parameters, lr=lr)


def _sgd(parameters: Iterable[Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9)


def _adamw(parameters: Iterable[Parameter], lr: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=lr)


# everything that is not named is torch's default, weight decay included
OPTIMIZERS: tuple[OptimizerChoice, ...] = (
    OptimizerChoice("fromage", "stability correction, no norm bound", _fromage),
    OptimizerChoice("sgd", "momentum 0.9, no weight decay", _sgd),
    OptimizerChoice("adamw", "betas 0.9 and 0.999, weight decay 0.01", _adamw),
)


def find_optimizer(name: str) -> OptimizerChoice:
    """The choice of that name.

    Raises:
        UsageError: no optimiser has that name.

    >>> find_optimizer("sgd").settings
    'momentum 0.9, no weight decay'
    """
    for choice in OPTIMIZERS:
        if choice.name == name:
            return choice
    known = ", ".join(choice.name for choice in OPTIMIZERS)
    raise UsageError(f"unknown optimizer {name!r}: expected one of {known}")
