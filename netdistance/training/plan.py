"""Which runs a comparison consists of, and whether they make sense."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from netdistance.errors import UsageError
from netdistance.training.initial import INIT_NAMES
from netdistance.training.optimizers import find_optimizer
from netdistance.training.run import BATCH, OWN, RunSettings
from netdistance.training.tasks import Task, data_fingerprint

# beyond it the optimisers' own scalars overflow float32
_LARGEST_LR = 1e30


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What is compared: every optimiser at every learning rate, depth and seed.

    `optimizers` are names, or such as `adamw@0.001`: that optimiser at this learning rate alone,
    whatever `lrs` says. `task` is a name, or `file.py:factory`; `data` the file or folder that some
    tasks need. `network` is the task's own choice if None. `depths` count hidden layers; `seeds` is
    how many, from 0 up. `lr_decay` multiplies the learning rate after each epoch. Finished runs
    found under `out` are not repeated; `keep_checkpoints` keeps the network at each evaluation
    there.
    """

    out: Path
    task: str = "checkerboard"
    optimizers: tuple[str, ...] = ("fromage", "sgd", "adamw")
    lrs: tuple[float, ...] = (0.01,)
    depths: tuple[int, ...] = (3,)
    width: int = 32
    seeds: int = 1
    steps: int = 4000
    data: Path | None = None
    network: str | None = None
    init: str = INIT_NAMES[0]
    batch: int = BATCH
    lr_decay: float = 1.0
    keep_checkpoints: bool = False

    def require_consistent(self) -> None:
        """Raise UsageError where an optimiser or initialisation is unknown or a number is out."""
        _require_some(self)
        for optimizer, lr in _rates(self):
            find_optimizer(optimizer)
            if not (math.isfinite(lr) and 0.0 < lr <= _LARGEST_LR):
                raise UsageError(f"learning rate {lr}: expected a number above 0, up to 1e30")
        if not 0.0 < self.lr_decay <= 1.0:
            raise UsageError(f"--lr-decay {self.lr_decay:g}: expected a number above 0, up to 1")
        for name, values in (
            ("depth", self.depths),
            ("width", [self.width]),
            ("seeds", [self.seeds]),
            ("steps", [self.steps]),
            ("batch", [self.batch]),
        ):
            _require_positive(name, values)


def planned_runs(options: TrainOptions, task: Task) -> list[RunSettings]:
    """The runs, each once: seeds vary fastest, then learning rates, optimisers, depths."""
    product = itertools.product(
        dict.fromkeys(options.depths),
        dict.fromkeys(_rates(options)),
        range(options.seeds),
    )
    data, network = data_fingerprint(task), options.network or task.network
    return [
        RunSettings(
            task=task.name,
            data=data,
            network=OWN if task.build else network,
            init=options.init,
            depth=depth,
            width=options.width,
            optimizer=name,
            lr=lr,
            lr_decay=float(options.lr_decay),
            batch=options.batch,
            seed=seed,
            steps=options.steps,
        )
        for depth, (name, lr), seed in product
    ]


def _rates(options: TrainOptions) -> Iterator[tuple[str, float]]:
    """Every optimiser with each of its learning rates: its own, or all of `lrs`."""
    for entry in options.optimizers:
        name, at, own = entry.partition("@")
        try:
            rates = (float(own),) if at else options.lrs
        except ValueError as error:
            what = "expected its name, or its name and learning rate, such as adamw@0.001"
            raise UsageError(f"optimizer {entry!r}: {what}") from error
        yield from ((name, float(lr)) for lr in rates)


def _require_some(options: TrainOptions) -> None:
    for name, values in (
        ("optimizer", options.optimizers),
        ("learning rate", options.lrs),
        ("depth", options.depths),
    ):
        if not values:
            raise UsageError(f"no {name} is given: name at least one")


def _require_positive(name: str, values: Sequence[int]) -> None:
    for value in values:
        if value < 1:
            raise UsageError(f"{name} is {value}: expected a whole number, 1 or more")
