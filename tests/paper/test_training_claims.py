"""What docs/experiments/training.md says of optimisers, as far as it can be checked quickly.

The digits runs of 24 hidden layers are slow; they are chaotic as well, so that another machine's
rounding leads to another accuracy: only the claim is asserted, far from where it would flip.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from netdistance.quantities import point
from netdistance.report.run_rows import RunRow
from netdistance.studies.train import TrainOptions, train
from netdistance.training.models import build_network
from netdistance.training.tasks import load_task

CHANCE = 0.12  # of ten classes, the largest of which has 10.4% of the training images


def rows(options: TrainOptions) -> dict[str, RunRow]:
    return {run.optimizer: run for run in train(options).runs or ()}


def train_accuracy(run: RunRow) -> float:
    accuracy = run.final["train_accuracy"]
    assert accuracy is not None
    return accuracy


def spread_over_inputs(init: str, depth: int) -> float:
    """How far outputs differ between inputs, relative to their own size, before training."""
    pytest.importorskip("sklearn")
    task = load_task("digits")
    network = build_network("mlp", task, depth=depth, width=64, init=init, seed=0)
    with torch.no_grad():
        outputs = network(task.train_inputs)
    return float((outputs - outputs.mean(dim=0)).norm() / outputs.norm())


def test_why_deep_networks_start_at_chance() -> None:
    # torch's weights have variance 1/(3 fan-in): a ReLU layer keeps 1/sqrt(6) of a difference
    shallow, deep = (spread_over_inputs("torch", depth) for depth in (8, 16))
    assert math.log(deep / shallow) == pytest.approx(8 * math.log(1 / math.sqrt(6)), rel=0.2)
    assert spread_over_inputs("torch", 24) < 1e-6
    assert spread_over_inputs("he", 24) > 0.05


@pytest.mark.slow
def test_with_few_steps_fromage_is_slower_than_adam(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    found = rows(
        TrainOptions(
            out=tmp_path, task="digits", init="torch", width=64, depths=(8,), steps=720,
            lr_decay=0.95, optimizers=("fromage@0.01", "adamw@0.001"),
        )
    )  # fmt: skip
    assert train_accuracy(found["adamw"]) > train_accuracy(found["fromage"]) + 0.1
    assert train_accuracy(found["fromage"]) > 0.2


def test_norms_grow_less_with_the_correction(tmp_path: Path) -> None:
    found = rows(TrainOptions(out=tmp_path, optimizers=("fromage", "lars"), lrs=(0.05,), steps=600))
    with_it, without = (
        point((found[name].curve or ())[-1].frobenius_norm.mean) for name in ("fromage", "lars")
    )
    law = math.exp(0.5 * 600 * math.log1p(0.05**2))  # 2.11 where the loss does not see the scale
    assert with_it is not None and without is not None
    assert 1.1 * with_it < without
    assert with_it > 1.0 and without > 0.5 * law


@pytest.mark.slow
def test_at_24_hidden_layers_only_fromage_leaves_chance(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    found = rows(
        TrainOptions(
            out=tmp_path, task="digits", init="torch", width=64, depths=(24,), steps=6900,
            batch=64, lr_decay=0.985, optimizers=("fromage@0.01", "adamw@0.001", "sgd@0.01"),
        )
    )  # fmt: skip
    assert train_accuracy(found["fromage"]) > 0.3
    assert train_accuracy(found["adamw"]) < CHANCE
    assert train_accuracy(found["sgd"]) < CHANCE
