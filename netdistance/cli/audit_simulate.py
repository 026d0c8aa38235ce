"""The part of `netdistance audit BASE` that simulates compression."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from netdistance.cli.output import Outputs, emit
from netdistance.cli.terminal import terminal_progress

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--simulate",
        metavar="SCHEMES",
        help="Store BASE under each of these, separated by commas: bf16, fp16, fp8, int8, "
        "int4-g128 (intN or intN-gK), nf4, fp4, mxfp4, prune-0.5, lowrank-64.",
    ),
    click.option(
        "--budget",
        metavar="DEVIATION",
        help="Find the cheapest mixture of the schemes that keeps the mean relative deviation of "
        "the outputs within this, such as 0.05 or 5%; needs --model and --inputs.",
    ),
    click.option(
        "--write",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Write what the budget chose, or the only scheme, as FILE.safetensors, in the "
        "layouts of compressed-tensors and bitsandbytes where there is one.",
    ),
)


def simulate_options(command: Command) -> Command:
    """Add --simulate, --budget and --write."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def run_simulation(
    base: Path, outputs: Outputs, *, quiet: bool, simulate: str, write: Path | None, **settings: Any
) -> int:
    """Simulate the schemes on BASE, write every output, and give the exit code."""
    inputs = [base, settings.get("inputs"), settings.get("targets")]
    outputs.check(inputs, checkpoint=write)
    # imported here: --help does not pay for what it does not use
    from netdistance.studies.simulate import SimulateOptions
    from netdistance.studies.simulate import simulate as run

    schemes = tuple(part.strip() for part in simulate.split(",") if part.strip())
    options = SimulateOptions(schemes=schemes, write=write, **settings)
    # a model may print, and stdout is the report's alone
    with contextlib.redirect_stdout(sys.stderr):
        report = run(base, options, progress=terminal_progress(quiet=quiet))
    return emit(report, outputs, quiet=quiet)
