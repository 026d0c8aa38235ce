"""Is a deep network more fragile than a shallow one? Measured, with every bound beside it.

ReLU networks of 1, 5 and 20 hidden layers of 32 neurons learn the 2 x 2 checkerboard by AdamW and
by Fromage, three seeds each. Then every weight and bias moves by Gaussian noise of 1%, 5% and 20%
of its norm. The deviation is |f~ - f|_F / |f|_F over a grid of 64 x 64 points, which `perturb` sees
as one input. docs/experiments/checkerboard.md shows what came out.

python examples/checkerboard.py --out checkerboard        (an hour on two cores; resumes)
python examples/checkerboard.py --out quick --quick       (seconds)
"""

import argparse
import statistics
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import netdistance

LEARNING_RATES = {"adamw": 0.001, "fromage": 0.01}
LEVELS = ("0.01", "0.05", "0.2")
BOUNDS = ("first_order_rms", "deep_relative_trust", "neuron_certificate", "norms_certificate")
# what is drawn: the name, its label, and how; certified is solid, estimated dashed, modelled dotted
CURVES = (
    ("norms_certificate", "certified, from norms", {"ls": "-", "color": "#B5B5B5"}),
    ("neuron_certificate", "certified, tightest", {"ls": "-", "color": "#000000"}),
    ("deep_relative_trust", "modelled: deep relative trust", {"ls": ":", "color": "#D55E00"}),
    ("first_order_rms", "estimated: first order", {"ls": "--", "color": "#0072B2"}),
    ("worst", "worst found", {"ls": "none", "marker": "v", "color": "#000000"}),
    ("median", "median of the draws", {"ls": "none", "marker": "o", "color": "#0072B2"}),
)
Row = dict[str, float]


def grid() -> np.ndarray:
    """The centres of 64 x 64 fields as one input: (1, 4096, 2)."""
    centres = (np.arange(64, dtype=np.float32) + 0.5) / 32 - 1
    return np.stack(np.meshgrid(centres, centres), axis=-1).reshape(1, -1, 2)


def measured(folder: Path) -> dict[str, Row]:
    """What noise of each level does to the network of one run."""
    options = netdistance.PerturbOptions(
        model=f"{folder / 'network.py'}:build", inputs=grid(), noise=LEVELS, draws=20, scope="all"
    )
    rows = {}
    for place in netdistance.perturb(folder / "final.safetensors", options).sweep:
        bounds = {row.name: netdistance.point(row.value) for row in place.bounds}
        rows[place.noise] = {name: bounds[name] for name in BOUNDS} | {
            "median": place.deviation.quantiles["0.5"],
            "largest": place.deviation.quantiles["1.0"],
            "worst": netdistance.point(place.attack),
        }
    return rows


def draw(found: dict[tuple[int, str], dict[str, Row]], level: str) -> Figure:
    """The bounds and measurements at one level against depth, a panel for each optimiser."""
    figure = Figure(figsize=(8.4, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, optimizer in zip(panels, ("adamw", "fromage"), strict=True):
        depths = sorted(depth for depth, name in found if name == optimizer)
        for key, label, style in CURVES:
            heights = [found[depth, optimizer][level][key] for depth in depths]
            axes.plot(range(len(depths)), heights, label=label, **style)
        axes.set(title=f"trained by {optimizer}", yscale="log", xlabel="hidden layers")
        axes.set_xticks(range(len(depths)), [str(depth) for depth in depths])
        axes.grid(axis="y", color="0.9")
    panels[0].set_ylabel(f"relative deviation, {float(level):.0%} noise")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


def main() -> None:
    """Train, perturb, print a table and draw a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="two depths, one seed, few steps")
    chosen = parser.parse_args()
    columns = ("median", "largest", "worst", *BOUNDS)
    print("depth optimizer noise", *columns)
    found: dict[tuple[int, str], dict[str, Row]] = {}
    for optimizer, lr in LEARNING_RATES.items():
        options = netdistance.TrainOptions(
            out=chosen.out,
            optimizers=(optimizer,),
            lrs=(lr,),
            depths=(1, 2) if chosen.quick else (1, 5, 20),
            seeds=1 if chosen.quick else 3,
            steps=100 if chosen.quick else 4000,
        )
        runs: dict[int, list[dict[str, Row]]] = {}
        for run in netdistance.train(options).runs:
            pattern = f"*-{optimizer}-lr{lr}-depth{run.depth}-*seed{run.seed}"
            (folder,) = (path for path in chosen.out.glob(pattern) if path.is_dir())
            runs.setdefault(run.depth, []).append(measured(folder))
        for depth, seeds in runs.items():
            found[depth, optimizer] = rows = {
                level: {name: statistics.fmean(s[level][name] for s in seeds) for name in columns}
                for level in LEVELS
            }
            for level, row in rows.items():
                print(depth, optimizer, level, *(f"{row[name]:.3g}" for name in columns))
    draw(found, LEVELS[-1]).savefig(chosen.out / "depth.png", dpi=110)


if __name__ == "__main__":
    main()
