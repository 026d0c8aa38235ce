"""`netdistance gradients A [B]`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from netdistance.cli.comma_separated import comma_separated
from netdistance.cli.output import Outputs, emit, output_options
from netdistance.cli.running import judging_options, moving_options, naming_options
from netdistance.cli.terminal import terminal_progress


@click.command("gradients")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path), required=False)
@judging_options
@click.option(
    "--relative-step",
    callback=comma_separated(float, "numbers"),
    metavar="NUMBER,...",
    default="0.001,0.003,0.01,0.03,0.1",
    show_default=True,
    help="Sizes of a step, comma separated: 0.01 moves each tensor by 1% of its norm.",
)
@click.option(
    "--draws",
    type=click.IntRange(2),
    default=8,
    show_default=True,
    metavar="N",
    help="How many times noise is drawn; the standard error is over draws.",
)
@moving_options
@naming_options(renames="the checkpoints' names so that they match the model's")
@output_options
def command(a: Path, b: Path | None, outputs: Outputs, quiet: bool, **settings: Any) -> int:
    """How far may A step before its gradient has broken down?

    Every tensor steps down the gradient of the mean loss over the inputs, by the same fraction of
    its norm, and by as much random noise; where B is given, A also moves toward it. At each size:
    how far the gradient is from the one that the step was taken by, relative to it, beside deep
    relative trust, which models just that; and the loss, as all tensors move and as each one alone.
    The largest relative step at which the loss still falls is measured, and modelled by Lemma 2 of
    arXiv 2002.03432.

    \b
    netdistance gradients mnist.pth --model net.py:build --inputs t10k-images-idx3-ubyte.gz \\
        --targets t10k-labels-idx1-ubyte.gz --plot gradients.png
    netdistance gradients before.pth after.pth --model net.py:build --inputs images.npy \\
        --targets labels.npy --relative-step 0.001,0.01,0.1 --scope all
    """
    outputs.check([a, b, settings["inputs"], settings["targets"]])
    # imported here: --help does not pay for torch
    from netdistance.studies.gradients import GradientsOptions, gradients

    options = GradientsOptions(**settings)
    # a model may print, and stdout is the report's alone
    with contextlib.redirect_stdout(sys.stderr):
        report = gradients(a, options, b=b, progress=terminal_progress(quiet=quiet))
    return emit(report, outputs, quiet=quiet)
