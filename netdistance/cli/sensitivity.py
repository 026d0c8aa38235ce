"""`netdistance sensitivity CHECKPOINT`."""

from __future__ import annotations

from pathlib import Path

import click

from netdistance.cli.output import Outputs, emit, output_options
from netdistance.cli.terminal import terminal_progress


@click.command("sensitivity")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@output_options
def command(checkpoint: Path, outputs: Outputs, quiet: bool) -> int:
    """How much each weight of CHECKPOINT can stretch its input.

    The spectral norm of every floating-point tensor with two or more axes, between two proved ends,
    its stable rank, and the product of the norms. A tensor with more than two axes is read as a
    convolution: its norm at stride 1 over all input sizes, whose upper end also holds for every
    stride, zero padding, dilation and group count. That the product says how far outputs move is a
    model: only the graph could tell.

    \b
    netdistance sensitivity resnet.pth
    netdistance sensitivity model.safetensors --all --plot norms.png
    """
    outputs.check([checkpoint])
    # imported here: --help does not pay for numpy
    from netdistance.studies.sensitivity import sensitivity

    report = sensitivity(checkpoint, progress=terminal_progress(quiet=quiet))
    return emit(report, outputs, quiet=quiet)
