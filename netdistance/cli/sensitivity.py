"""`netdistance sensitivity CHECKPOINT`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from netdistance.cli.output import Outputs, emit, output_options
from netdistance.cli.running import naming_options, unlabelled_running_options
from netdistance.cli.terminal import terminal_progress


@click.command("sensitivity")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@unlabelled_running_options
@naming_options(renames="the checkpoint's names so that they match the model's")
@output_options
def command(checkpoint: Path, outputs: Outputs, quiet: bool, **settings: Any) -> int:
    """How much CHECKPOINT can stretch a change of its input.

    The spectral norm of every floating-point tensor with two or more axes, between two proved ends,
    its stable rank, and the product of the norms. A tensor with more than two axes is read as a
    convolution: its norm at stride 1 over all input sizes, whose upper end also holds for every
    stride, zero padding, dilation and group count. That the product says how far outputs move is a
    model: only the graph can tell.

    With --model and --inputs it is walked: a certified bound on |f(x) - f(y)| / |x - y| for every
    two inputs, the spectral norm of the Jacobian at the first --certify inputs, and the largest
    ratio that a search from them found.

    \b
    netdistance sensitivity resnet.pth
    netdistance sensitivity model.safetensors --all --plot norms.png
    netdistance sensitivity mnist.pth --model net.py:build --inputs t10k-images-idx3-ubyte.gz
    """
    outputs.check([checkpoint, settings["inputs"]])
    # imported here: --help does not pay for numpy
    from netdistance.studies.sensitivity import SensitivityOptions, sensitivity

    options = SensitivityOptions(**settings)
    # a model may print, and stdout is the report's alone
    with contextlib.redirect_stdout(sys.stderr):
        report = sensitivity(checkpoint, options, progress=terminal_progress(quiet=quiet))
    return emit(report, outputs, quiet=quiet)
