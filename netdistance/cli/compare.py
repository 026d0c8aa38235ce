"""`netdistance compare A B`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click

from netdistance.cli.output import Outputs, emit, output_options
from netdistance.cli.running import running_options
from netdistance.cli.terminal import terminal_progress


@click.command("compare")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@running_options
@click.option(
    "--strip-prefix", default="", metavar="PREFIX", help="Strip this from names, such as module."
)
@click.option(
    "--rename",
    multiple=True,
    metavar="REGEX=NEW",
    help="Rewrite B's names so that they match A's; repeatable, in order.",
)
@click.option("--only", multiple=True, metavar="GLOB", help="Compare these names only; repeatable.")
@click.option("--skip", multiple=True, metavar="GLOB", help="Leave these names out; repeatable.")
@click.option(
    "--fail-if",
    multiple=True,
    metavar="METRIC>NUMBER",
    help="Exit 1 where a tensor, bound or deviation meets this, or was skipped; repeatable.",
)
@click.option(
    "--require-all",
    is_flag=True,
    help="Exit 1 where any tensor is unmatched, reshaped, skipped or non-finite.",
)
@click.option(
    "--threads", type=click.IntRange(1), help="Threads that read and sum; default up to 4."
)
@output_options
def command(
    a: Path,
    b: Path,
    model: str | None,
    inputs: Path | None,
    targets: Path | None,
    certify: int,
    batch_size: int,
    device: str,
    seed: int,
    strip_prefix: str,
    rename: tuple[str, ...],
    only: tuple[str, ...],
    skip: tuple[str, ...],
    fail_if: tuple[str, ...],
    require_all: bool,
    threads: int | None,
    outputs: Outputs,
    quiet: bool,
) -> int:
    """How far checkpoint B is from checkpoint A, the reference.

    Reads safetensors and torch files (never unpickling code), pairs tensors by name, and shows for
    each layer how far it moved and its share of deep relative trust. With --model and --inputs it
    also measures what the outputs do, beside every bound.

    \b
    netdistance compare base.safetensors tuned.safetensors
    netdistance compare a.pth b.pth --model net.py:build --inputs images.npy
    netdistance compare a.pth b.pth --fail-if 'relative_frobenius>0.1' --json report.json
    """
    # imported here: --help of this or another command does not pay for numpy
    from netdistance.studies.compare import CompareOptions, compare

    outputs.check([a, b, inputs, targets])
    options = CompareOptions(
        model=model,
        inputs=inputs,
        targets=targets,
        certify=certify,
        batch_size=batch_size,
        device=device,
        seed=seed,
        threads=threads,
        strip_prefix=strip_prefix,
        rename=rename,
        only=only,
        skip=skip,
        fail_if=fail_if,
        require_all=require_all,
    )
    # a model may print, and stdout is the report's alone
    with contextlib.redirect_stdout(sys.stderr):
        report = compare(a, b, options, progress=terminal_progress(quiet=quiet))
    return emit(report, outputs, quiet=quiet)
