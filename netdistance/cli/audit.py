"""`netdistance audit A B`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any, get_args

import click

from netdistance.cli.output import Outputs, emit, output_options
from netdistance.cli.running import naming_options, running_options
from netdistance.cli.terminal import terminal_progress
from netdistance.report.audit_rows import AuditVerdict

_PATH = click.Path(path_type=Path)


@click.command("audit")
@click.argument("a", metavar="BASE", type=_PATH)
@click.argument("b", metavar="COMPRESSED", type=_PATH, required=False)
@running_options
@naming_options(renames="COMPRESSED's names so that they match BASE's")
@click.option("--only", multiple=True, metavar="GLOB", help="Audit these names only; repeatable.")
@click.option(
    "--keep",
    type=click.IntRange(0),
    default=5,
    show_default=True,
    metavar="N",
    help="At most so many layers to keep in high precision, each measured; with --model.",
)
@click.option(
    "--fail-if",
    multiple=True,
    metavar="NUMBER>LIMIT",
    help="Exit 1 where a layer's distance, bits_per_weight, measured cost, or any number of the "
    "report meets this, or was skipped; repeatable.",
)
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(get_args(AuditVerdict)),
    help="Exit 1 where a layer has this verdict or a worse one, or could not be judged; "
    "repeatable.",
)
@click.option(
    "--require-all",
    is_flag=True,
    help="Exit 1 where any tensor is unmatched, reshaped, skipped or non-finite.",
)
@click.option(
    "--threads", type=click.IntRange(1), help="Workers that read and sum at once; default up to 4."
)
@output_options
def command(a: Path, b: Path | None, outputs: Outputs, quiet: bool, **settings: Any) -> int:
    """What compressing BASE to COMPRESSED did, layer by layer.

    Each is what compare takes; packed weights are decoded. Every layer gets a verdict: lossless,
    rounding (moved as far as rounding to its own storage would move it), more than rounding, broken
    (moved by half of its size or more, or not finite), or not compared. With --model and --inputs
    each layer's cost is measured, and which layers to keep in high precision, with what that
    gains.

    \b
    netdistance audit base/ base-gptq/
    netdistance audit base.pth int8.pth --model net.py:build --inputs images.npy
    netdistance audit base/ base-gptq/ --fail-on more_than_rounding --require-all
    """
    if b is None:
        raise click.UsageError("nothing to audit BASE against: give COMPRESSED too")
    # imported here: --help of this or another command does not pay for numpy
    from netdistance.studies.audit import AuditOptions, audit

    outputs.check([a, b, settings["inputs"], settings["targets"]])
    options = AuditOptions(**settings)
    # a model may print, and stdout is the report's alone
    with contextlib.redirect_stdout(sys.stderr):
        report = audit(a, b, options, progress=terminal_progress(quiet=quiet))
    return emit(report, outputs, quiet=quiet)
