"""`netdistance perturb CHECKPOINT`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from netdistance.cli.output import Outputs, emit, output_options
from netdistance.cli.running import naming_options, running_options
from netdistance.cli.terminal import terminal_progress


@click.command("perturb")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@running_options
@click.option(
    "--noise",
    default="0.01,0.05,0.2",
    show_default=True,
    metavar="LEVELS",
    help="Noise levels, separated by commas: 0.2 moves each tensor by 20% of its norm; int8 and "
    "int4 move each element of a weight by up to half a step of that format.",
)
@click.option(
    "--draws",
    type=click.IntRange(2),
    default=16,
    show_default=True,
    metavar="N",
    help="How many times noise is drawn; the standard error is over draws.",
)
@click.option(
    "--scope",
    type=click.Choice(["weights", "all", "both"]),
    default="both",
    show_default=True,
    help="Move tensors with two or more axes, all parameters, or report one after the other.",
)
@click.option(
    "--layers",
    multiple=True,
    metavar="GLOB",
    help="Move only parameters of these names; repeatable.",
)
@click.option(
    "--spectral", is_flag=True, help="Add spectral trust, a model, from proved norms; slower."
)
@naming_options(renames="the checkpoint's names so that they match the model's")
@output_options
def command(checkpoint: Path, outputs: Outputs, quiet: bool, noise: str, **settings: Any) -> int:
    """How far the outputs of CHECKPOINT move under noise in its weights.

    Gaussian noise moves every tensor by the same fraction of its norm; the box of a format moves
    every element by at most half a step, as rounding to that format may. For each level: the
    measured mean, the first-order estimates of it and of the worst, the worst perturbation that an
    attack found, the certificate that covers every perturbation of that size or in that box, and
    deep relative trust, which is a model.

    \b
    netdistance perturb mnist.pth --model net.py:build --inputs t10k-images-idx3-ubyte.gz \\
        --targets t10k-labels-idx1-ubyte.gz --noise 0.01,0.2,int8,int4 --plot perturb.png
    """
    outputs.check([checkpoint, settings["inputs"], settings["targets"]])
    # imported here: --help does not pay for torch
    from netdistance.studies.perturb import PerturbOptions, perturb

    options = PerturbOptions(noise=tuple(map(str.strip, noise.split(","))), **settings)
    # a model may print, and stdout is the report's alone
    with contextlib.redirect_stdout(sys.stderr):
        report = perturb(checkpoint, options, progress=terminal_progress(quiet=quiet))
    return emit(report, outputs, quiet=quiet)
