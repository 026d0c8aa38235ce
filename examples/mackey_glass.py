"""Predict a chaotic series, as Lapedes and Farber did in 1987 (LA-UR-87-2662).

From x(t), x(t - 6), x(t - 12), x(t - 18) of a Mackey-Glass series of delay 17, a 4-20-20-1 tanh
network says x(t + 6): by LBFGS in float64 on all of the data, then by the optimisers of train.
NRMSE, the root of the loss, came out as 0.0115 and 0.052: docs/experiments/training.md.

    python examples/mackey_glass.py --out mackey-glass

takes about two minutes on one core; `--quick` takes seconds and shows nothing but that it runs.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

import netdistance
from netdistance.cli import app
from netdistance.training.models import build_network
from netdistance.training.tasks import load_task

TRAIN = (
    "train --task mackey-glass --network mlp-tanh --depth 2 --width 20 --batch 64 "
    "--optimizer fromage@0.01,fromage@0.003,adamw@0.01,adamw@0.003,lamb@0.01,lamb@0.003"
)
FULL = "--steps 4000 --lr-decay 0.995"
QUICK = "--steps 8"
TASK = load_task("mackey-glass")
INPUTS, TARGETS = TASK.train_inputs.double(), TASK.train_targets.double()


def nrmse(outputs: torch.Tensor) -> float:
    """The root of the loss on the test targets."""
    return math.sqrt(float(TASK.loss(outputs, TASK.test_targets.double())))


def linear() -> float:
    """Test NRMSE of the best affine function of the four values."""
    ones = torch.ones(len(INPUTS), 1)
    weights = torch.linalg.lstsq(torch.cat([INPUTS, ones], dim=1), TARGETS[:, None]).solution
    return nrmse(TASK.test_inputs.double() @ weights[:-1] + weights[-1])


def lbfgs(rounds: int, iterations: int) -> list[float]:
    """Test NRMSE of the network after each round of that many iterations."""
    network = build_network("mlp-tanh", TASK, depth=2, width=20, init="he", seed=1).double()
    optimizer = torch.optim.LBFGS(network.parameters(), max_iter=iterations, history_size=100,
        line_search_fn="strong_wolfe", tolerance_grad=0.0, tolerance_change=0.0)  # fmt: skip

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = TASK.loss(network(INPUTS), TARGETS)
        loss.backward()
        return loss

    errors = []
    for _ in range(rounds):
        optimizer.step(closure)
        errors.append(nrmse(network(TASK.test_inputs.double()).detach()))
    return errors


def main() -> None:
    """The linear prediction, LBFGS, and the optimisers of `netdistance train`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a folder for runs and figures")
    parser.add_argument("--quick", action="store_true", help="seconds, and few steps")
    asked = parser.parse_args()
    words = f"{TRAIN} {QUICK if asked.quick else FULL}".split()
    app.main([*words, "--out", str(asked.out)], standalone_mode=False)
    print(f"\ntest NRMSE of a linear prediction: {linear():.3f}")
    rounds, iterations = (1, 20) if asked.quick else (5, 1000)
    errors = " ".join(f"{error:.4f}" for error in lbfgs(rounds, iterations))
    print(f"LBFGS after each {iterations} iterations: {errors}")
    for run in netdistance.read_report(asked.out / "report.json").runs or ():
        loss = run.final["test_loss"]
        print(f"{run.optimizer} {run.lr:g}: {'–' if loss is None else f'{math.sqrt(loss):.4f}'}")


if __name__ == "__main__":
    main()
