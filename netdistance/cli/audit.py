"""`netdistance audit BASE`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from netdistance.cli.audit_simulate import run_simulation, simulate_options
from netdistance.cli.output import Outputs, output_options
from netdistance.cli.running import naming_options, running_options
from netdistance.errors import UsageError


@click.command("audit")
@click.argument("base", type=click.Path(path_type=Path))
@simulate_options
@running_options
@click.option(
    "--fail-if",
    multiple=True,
    metavar="EXPRESSION",
    help="Exit 1 where what was chosen meets METRIC>NUMBER, such as 'bits_per_weight>8' or "
    "'relative_output_deviation>0.05'; repeatable.",
)
@naming_options(renames="the checkpoint's names so that they match the model's")
@output_options
def command(base: Path, outputs: Outputs, quiet: bool, simulate: str, **settings: Any) -> int:
    """What storing BASE in fewer bits would cost.

    Every layer is stored under every scheme of --simulate, alone. With --model and --inputs the
    outputs are measured, then those of mixtures: the best for their size, if layers' errors are
    independent. With --budget the cheapest that was measured to keep to it is chosen. Weights are
    tensors with two or more axes; everything else stays as it is.

    \b
    netdistance audit mnist.pth --simulate int8,int4-g128 --model net.py:build \\
        --inputs t10k-images-idx3-ubyte.gz --budget 5% --write mnist-small.safetensors
    """
    if not simulate:
        raise UsageError("audit BASE needs --simulate, such as --simulate int8,int4-g128")
    return run_simulation(base, outputs, quiet=quiet, simulate=simulate, **settings)
