"""The optimisers that a comparison can name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from netdistance.errors import UsageError
from netdistance.optim import LAMB, LARS, Fromage

# of disjoint parameters, which step as one
Optimizers = tuple[Optimizer, ...]


@dataclass(frozen=True, slots=True)
class OptimizerChoice:
    """A name, what its settings are, and how to build it for a learning rate."""

    name: str
    settings: str
    build: Callable[[Iterable[Parameter], float], Optimizers]


def _fromage(parameters: Iterable[Parameter], lr: float) -> Optimizers:
    return (Fromage(parameters, lr=lr),)


def _lars(parameters: Iterable[Parameter], lr: float) -> Optimizers:
    return (LARS(parameters, lr=lr),)


def _lamb(parameters: Iterable[Parameter], lr: float) -> Optimizers:
    return (LAMB(parameters, lr=lr),)


def _sgd(parameters: Iterable[Parameter], lr: float) -> Optimizers:
    return (torch.optim.SGD(parameters, lr=lr, momentum=0.9),)


def _adamw(parameters: Iterable[Parameter], lr: float) -> Optimizers:
    return (torch.optim.AdamW(parameters, lr=lr),)


def _muon(parameters: Iterable[Parameter], lr: float) -> Optimizers:
    every = list(parameters)
    matrices = [parameter for parameter in every if parameter.ndim == 2]
    others = [parameter for parameter in every if parameter.ndim != 2]
    # neither takes an empty list
    muon = (torch.optim.Muon(matrices, lr=lr),) if matrices else ()
    return (*muon, torch.optim.AdamW(others, lr=lr)) if others else muon


# everything that is not named is the class's default, weight decay included
OPTIMIZERS: tuple[OptimizerChoice, ...] = (
    OptimizerChoice("fromage", "stability correction, no norm bound", _fromage),
    OptimizerChoice("lars", "neither momentum nor weight decay", _lars),
    OptimizerChoice("lamb", "betas 0.9 and 0.999, weight decay 0.01, no clamp", _lamb),
    OptimizerChoice("sgd", "momentum 0.9, no weight decay", _sgd),
    OptimizerChoice("adamw", "betas 0.9 and 0.999, weight decay 0.01", _adamw),
    OptimizerChoice(
        "muon",
        "matrices by Muon, Nesterov momentum 0.95, weight decay 0.1; "
        "the rest by AdamW with the same learning rate, its weight decay 0.01",
        _muon,
    ),
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
