"""Which runs a comparison consists of, and whether they make sense."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from netdistance.errors import UsageError
from netdistance.training.optimizers import find_optimizer
from netdistance.training.run import RunSettings

# beyond it the optimisers' own scalars overflow float32
_LARGEST_LR = 1e30


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What is compared: every optimiser at every learning rate, depth and seed.

    `depths` count hidden layers; `seeds` is how many, from 0 up. Finished runs found under `out`
    are not repeated.
    """

    out: Path
    task: str = "checkerboard"
    optimizers: tuple[str, ...] = ("fromage", "sgd", "adamw")
    lrs: tuple[float, ...] = (0.01,)
    depths: tuple[int, ...] = (3,)
    width: int = 32
    seeds: int = 1
    steps: int = 4000


def planned_runs(options: TrainOptions) -> list[RunSettings]:
    """The runs, each once: seeds vary fastest, then learning rates, optimisers, depths.

    Raises:
        UsageError: an unknown optimiser, or a setting out of range.
    """
    _validate(options)
    product = itertools.product(
        dict.fromkeys(options.depths),
        dict.fromkeys(options.optimizers),
        dict.fromkeys(map(float, options.lrs)),
        range(options.seeds),
    )
    return [
        RunSettings(options.task, name, lr, depth, options.width, seed, options.steps)
        for depth, name, lr, seed in product
    ]


def _validate(options: TrainOptions) -> None:
    for name, values in (
        ("optimizer", options.optimizers),
        ("learning rate", options.lrs),
        ("depth", options.depths),
    ):
        if not values:
            raise UsageError(f"no {name} is given: name at least one")
    for optimizer in options.optimizers:
        find_optimizer(optimizer)
    for lr in options.lrs:
        if not (math.isfinite(lr) and 0.0 < lr <= _LARGEST_LR):
            raise UsageError(f"learning rate {lr}: expected a number above 0, up to 1e30")
    _require_positive("depth", options.depths)
    _require_positive("width", [options.width])
    _require_positive("seeds", [options.seeds])
    _require_positive("steps", [options.steps])


def _require_positive(name: str, values: Sequence[int]) -> None:
    for value in values:
        if value < 1:
            raise UsageError(f"{name} is {value}: expected a whole number, 1 or more")
