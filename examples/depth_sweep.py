"""Which optimiser trains a deep plain network? Figure 3, left, of the Fromage paper, on digits.

Bernstein, Vahdat, Yue and Liu 2020 (arXiv 2002.03432) train ever deeper ReLU networks without batch
norm or skips on MNIST: Fromage trains deeper ones than SGD and Adam. Here the images are
scikit-learn's 8 x 8 digits, the networks 64 wide with torch's default initialisation, each trained
for 300 epochs. Out came that at 24 and 32 layers only Fromage leaves chance, and that all of them
do with --init he: docs/experiments/training.md.

    python examples/depth_sweep.py --out depths

takes about 40 minutes on one core, and goes on where it was if it is stopped; `--quick` takes
seconds and shows nothing but that it runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import netdistance
from netdistance.cli import app
from netdistance.report.run_rows import RunRow

OPTIMIZERS = "fromage@0.01,fromage@0.1,adamw@0.001,adamw@0.0001,sgd@0.1,sgd@0.01"
SETTINGS = "--task digits --network mlp --width 64 --batch 64 --lr-decay 0.985"
FULL = "--depth 8,16,24,32 --steps 6900"
QUICK = "--depth 1,2 --steps 8"
CHANCE = 0.2  # train accuracy up to which a network has learned nothing: a class has 0.1


def main() -> None:
    """Train, print what `netdistance train` says and the table of the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a folder for runs and figures")
    parser.add_argument("--quick", action="store_true", help="seconds, and two shallow networks")
    parser.add_argument("--optimizers", default=OPTIMIZERS, help="as --optimizer of train")
    parser.add_argument("--init", default="torch", help="torch or he")
    parser.add_argument("--depths", help="as --depth of train")
    parser.add_argument("--seeds", default="1", help="how many")
    asked = parser.parse_args()
    words = f"train {SETTINGS} {QUICK if asked.quick else FULL}".split()
    words += ["--optimizer", asked.optimizers]
    words += ["--depth", asked.depths] if asked.depths else []
    words += ["--init", asked.init, "--seeds", asked.seeds, "--out", str(asked.out)]
    app.main(words, standalone_mode=False)
    runs = netdistance.read_report(asked.out / "report.json").runs or ()
    print("\n".join(accuracy_table(runs)))


def accuracy_table(runs: Iterable[RunRow]) -> list[str]:
    """A Markdown table: train/test accuracy of every run, a row for each depth."""
    cells: dict[int, dict[str, list[str]]] = {}
    for run in runs:
        column = cells.setdefault(run.depth, {}).setdefault(f"{run.optimizer} {run.lr:g}", [])
        train, test = run.final["train_accuracy"], run.final["test_accuracy"]
        learned = train is not None and test is not None and train > CHANCE
        column.append(f"{train:.3f}/{test:.3f}" if learned else "chance")
    columns = list(dict.fromkeys(name for row in cells.values() for name in row))
    lines = [f"| hidden layers | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for depth, row in cells.items():
        shown = (" ".join(row.get(name, ["–"])) for name in columns)
        lines.append(f"| {depth} | {' | '.join(shown)} |")
    return lines


if __name__ == "__main__":
    main()
