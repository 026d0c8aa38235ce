"""`netdistance audit BASE COMPRESSED`, and `audit BASE --simulate SCHEMES`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any, get_args

import click

from netdistance.cli.audit_simulate import run_simulation, simulate_options
from netdistance.cli.output import Outputs, emit, output_options
from netdistance.cli.running import naming_options, uncertified_running_options
from netdistance.cli.terminal import terminal_progress
from netdistance.report.audit_rows import AuditVerdict

_PATH = click.Path(path_type=Path)
_DEFAULT = click.core.ParameterSource.DEFAULT
_OF_SIMULATION = frozenset({"simulate", "budget", "write"})
_OF_A_PAIR = frozenset(
    {"adapter", "conversions", "fail_on", "keep", "only", "require_all", "threads"}
)


@click.command("audit")
@click.argument("a", metavar="BASE", type=_PATH)
@click.argument("b", metavar="[COMPRESSED]", type=_PATH, required=False)
@simulate_options
@uncertified_running_options
@naming_options(renames="COMPRESSED's names so that they match BASE's, or the model's")
@click.option("--only", multiple=True, metavar="GLOB", help="Audit these names only; repeatable.")
@click.option(
    "--conversions/--no-conversions",
    default=True,
    show_default=True,
    help="Look for what a converter fused, split, transposed, permuted or renamed: found by "
    "structure, decided by value.",
)
@click.option(
    "--adapter",
    type=_PATH,
    metavar="DIR",
    help="Folder of the LoRA adapter that COMPRESSED is said to hold: did it land? Layers are "
    "then judged against BASE with it added.",
)
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
    help="Exit 1 where any layer meets this, or its number was skipped, such as 'distance>0.1'; "
    "also of bits_per_weight, or measured, its cost with --model; any number of the report "
    "goes. Distances and costs are fractions: 0.1 is 10%. Repeatable.",
)
@click.option(
    "--fail-on",
    multiple=True,
    type=click.Choice(get_args(AuditVerdict)),
    help="Exit 1 where a layer has this verdict or a worse one (they are in order), or could not "
    "be judged; repeatable.",
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
    """What compressing BASE to COMPRESSED did, or would do, layer by layer.

    Each is what compare takes; packed weights are decoded, and what a converter fused, split,
    transposed or permuted is found. Every layer gets a verdict: lossless, rounding (moved as far as
    rounding to its own storage would move it), more than rounding, broken (moved by half of its
    size or more, or not finite), or not compared. With --model and --inputs each layer's cost is
    measured, and which layers to keep in high precision, with what that gains.

    Without COMPRESSED, --simulate stores every layer of BASE under every scheme, alone. With
    --model and --inputs the outputs are measured, then those of mixtures: the best for their size,
    if layers' errors are independent. With --budget the cheapest that was measured to keep to it is
    chosen. Weights are tensors with two or more axes; everything else stays as it is.

    \b
    netdistance audit base/ base-gptq/
    netdistance audit base.pth int8.pth --model net.py:build --inputs images.npy
    netdistance audit base/ base-gptq/ --fail-on more_than_rounding --require-all
    netdistance audit base/ merged/ --adapter adapter/
    netdistance audit base.pth --simulate int8,int4-g128 --model net.py:build \\
        --inputs images.npy --budget 5% --write small.safetensors
    """
    context = click.get_current_context()
    given = {n for n in settings if context.get_parameter_source(n) is not _DEFAULT}
    if (b is None) == (settings["simulate"] is None):
        raise click.UsageError(
            "audit BASE COMPRESSED judges a copy, audit BASE --simulate int8,nf4 what one would "
            f"cost: give {'one of them' if b is None else 'COMPRESSED or --simulate, not both'}"
        )
    other = _OF_SIMULATION if b is not None else _OF_A_PAIR
    if misplaced := sorted(given & other):
        use = "--simulate" if b is not None else "audit BASE COMPRESSED"
        raise click.UsageError(f"--{misplaced[0].replace('_', '-')} is for {use}; leave it out")
    settings = {name: value for name, value in settings.items() if name not in other}
    if b is None:
        return run_simulation(a, outputs, quiet=quiet, **settings)
    # imported here: --help of this or another command does not pay for numpy
    from netdistance.studies.audit import AuditOptions, audit

    outputs.check([a, b, *(settings[name] for name in ("inputs", "targets", "adapter"))])
    options = AuditOptions(**settings)
    # a model may print, and stdout is the report's alone
    with contextlib.redirect_stdout(sys.stderr):
        report = audit(a, b, options, progress=terminal_progress(quiet=quiet))
    return emit(report, outputs, quiet=quiet)
