"""Do norms stay put? Fromage with its stability correction and without it, which is LARS.

A step of LARS is perpendicular to a weight whose loss does not depend on its scale, so each step
multiplies the norm by sqrt(1 + eta^2); Fromage divides by that (Bernstein, Vahdat, Yue and Liu
2020, arXiv 2002.03432). First that law, exact, on such a loss; then a network, whose loss does
depend on scale. The law came out exactly; the network's norms grew by 1.92 with the correction
and 2.21 without: docs/experiments/training.md.

    python examples/norm_stability.py --out norms

takes about two minutes on one core; `--quick` takes seconds and shows nothing but that it runs.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

import netdistance
from netdistance.cli import app
from netdistance.optim import LARS, Fromage

ETA = 0.01
SETTINGS = f"train --task checkerboard --optimizer fromage,lars --lr {ETA}"
FULL = "--depth 3 --steps 10000"
QUICK = "--depth 2 --steps 8"


def growth(optimizer: type[Fromage] | type[LARS], steps: int) -> float:
    """Growth of the norm of a float64 weight whose loss depends on its direction alone."""
    generator = torch.Generator().manual_seed(0)
    start, target = torch.randn(2, 6, 5, dtype=torch.float64, generator=generator)
    weight = torch.nn.Parameter(start.clone())
    descent = optimizer([weight], lr=ETA)
    for _ in range(steps):
        descent.zero_grad()
        (-(weight * target).sum() / weight.norm()).backward()
        descent.step()
    return float(weight.detach().norm() / start.norm())


def law(steps: int) -> float:
    """(1 + eta^2)^(steps/2)."""
    return math.exp(0.5 * steps * math.log1p(ETA * ETA))


def main() -> None:
    """The law on a scale-invariant loss, then the norms of a trained network beside it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a folder for runs and figures")
    parser.add_argument("--quick", action="store_true", help="seconds, and few steps")
    asked = parser.parse_args()
    words = f"{SETTINGS} {QUICK if asked.quick else FULL}".split()
    app.main([*words, "--out", str(asked.out)], standalone_mode=False)
    steps = 100 if asked.quick else 2000
    fromage, lars = growth(Fromage, steps), growth(LARS, steps)
    print(f"\nscale-invariant loss, |W| after {steps} steps of {ETA}:")
    print(f"fromage x {fromage:.13f}, lars x {lars:.13f}, (1 + eta^2)^(n/2) = {law(steps):.13f}")
    for run in netdistance.read_report(asked.out / "report.json").runs or ():
        last = (run.curve or ())[-1]
        norms = last.frobenius_norm
        ends = (netdistance.point(end) for end in (norms.mean, norms.least, norms.most))
        mean, least, most = (f"{end:.3g}" for end in ends)
        print(
            f"{run.optimizer}: |W| x {mean} ({least} to {most}) after {last.step} steps; ", end=""
        )
        print(f"(1 + eta^2)^(n/2) = {law(last.step):.3g}")


if __name__ == "__main__":
    main()
