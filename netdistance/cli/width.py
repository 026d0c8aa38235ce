"""`netdistance width CHECKPOINT`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from netdistance.cli.output import Outputs, emit, output_options
from netdistance.cli.running import judging_options, moving_options, naming_options
from netdistance.cli.terminal import terminal_progress


@click.command("width")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="CHECKPOINT_B",
    help="A second checkpoint of the same network: both widths, and their ratio.",
)
@judging_options
@click.option(
    "--criterion",
    type=click.Choice(["loss", "accuracy"]),
    default="loss",
    show_default=True,
    help="What must not change: the mean cross entropy over the inputs, in nats, must not rise, or "
    "the fraction of right answers must not fall.",
)
@click.option(
    "--tolerance",
    type=float,
    metavar="X",
    help="By how much it may: 0.1 nats of loss, 0.01 of the accuracy, unless given.",
)
@click.option(
    "--draws",
    type=click.IntRange(2),
    default=16,
    show_default=True,
    metavar="N",
    help="Random directions of all layers together; the standard error is over draws.",
)
@click.option(
    "--layer-draws",
    type=click.IntRange(0),
    default=4,
    show_default=True,
    metavar="N",
    help="Random directions of each layer alone; 0 leaves the layers out, which is faster.",
)
@moving_options
@click.option(
    "--eigenvalues",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    metavar="K",
    help="Largest eigenvalues of the Hessian; 0 leaves the curvature out.",
)
@naming_options(renames="the checkpoints' names so that they match the model's")
@output_options
def command(checkpoint: Path, outputs: Outputs, quiet: bool, **settings: Any) -> int:
    """How wide is the minimum that CHECKPOINT lies in?

    Each tensor moves by the same fraction of its norm, further and further, until the mean loss
    over the inputs has risen by the tolerance; that fraction is the radius. In random directions it
    has a mean and a standard error; the worst is the shortest that an ascent of the loss found, and
    a shorter one may exist. Both for all layers together and for each layer alone. Beside them the
    curvature of the loss: the largest eigenvalues of its Hessian, its trace, and a trace relative
    to the size of each layer, which scaling one layer up and the next down does not change.

    \b
    netdistance width mnist.pth --model net.py:build --inputs t10k-images-idx3-ubyte.gz \\
        --targets t10k-labels-idx1-ubyte.gz --plot width.png
    netdistance width adam.pth --against fromage.pth --model net.py:build \\
        --inputs images.npy --targets labels.npy --criterion accuracy --tolerance 0.02
    """
    given = [checkpoint, settings["against"], settings["inputs"], settings["targets"]]
    outputs.check(given)
    # imported here: --help does not pay for torch
    from netdistance.studies.width import WidthOptions, width

    options = WidthOptions(**settings)
    # a model may print, and stdout is the report's alone
    with contextlib.redirect_stdout(sys.stderr):
        report = width(checkpoint, options, progress=terminal_progress(quiet=quiet))
    return emit(report, outputs, quiet=quiet)
