"""How carefully must the learning rate be chosen? The right of Figure 3 of the Fromage paper.

Bernstein, Vahdat, Yue and Liu 2020 (arXiv 2002.03432). Here: scikit-learn's digits, a ReLU network
of 8 hidden layers of 64, two seeds, 60 epochs, learning rates from 0.0001 to 1. Fromage
learned at 0.1 alone, AdamW at 0.001 and 0.01, SGD at none: docs/experiments/training.md.

    python examples/learning_rates.py --out rates

takes about five minutes on one core; `--quick` takes seconds and shows nothing but that it runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import netdistance
from netdistance.cli import app

SETTINGS = (
    "train --task digits --network mlp --init torch --width 64 --lr-decay 0.95 "
    "--optimizer fromage,lars,adamw,sgd"
)
FULL = "--depth 8 --seeds 2 --steps 720 --lr 0.0001,0.001,0.01,0.1,1"
QUICK = "--depth 2 --steps 8 --lr 0.01,1"
LEARNED = 0.8  # train accuracy


def main() -> None:
    """Train, and print at which learning rates each optimiser learned."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a folder for runs and figures")
    parser.add_argument("--quick", action="store_true", help="seconds, and two learning rates")
    asked = parser.parse_args()
    words = f"{SETTINGS} {QUICK if asked.quick else FULL}".split()
    app.main([*words, "--out", str(asked.out)], standalone_mode=False)
    runs = netdistance.read_report(asked.out / "report.json").runs or ()
    for optimizer in dict.fromkeys(run.optimizer for run in runs):
        worst: dict[float, float] = {}
        for run in (run for run in runs if run.optimizer == optimizer):
            accuracy = run.final["train_accuracy"] or 0.0
            worst[run.lr] = min(worst.get(run.lr, 1.0), accuracy)
        rates = ", ".join(f"{lr:g}" for lr, accuracy in worst.items() if accuracy > LEARNED)
        print(f"{optimizer}: train accuracy over {LEARNED} with every seed at {rates or 'none'}")


if __name__ == "__main__":
    main()
