"""`netdistance compare A B`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netdistance.cli.output import Outputs, emit, grouping_options, output_options
from netdistance.cli.running import naming_options, running_options
from netdistance.cli.terminal import terminal_progress

if TYPE_CHECKING:
    from netdistance.report.layers import Grouping


@click.command("compare")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option(
    "--all-metrics", is_flag=True, help="Add sign flips, sparsity and the relative maximum."
)
@click.option(
    "--spectral", is_flag=True, help="Add proved spectral distances and stable ranks; slower."
)
@running_options
@naming_options(renames="B's names so that they match A's")
@click.option(
    "--conversions",
    is_flag=True,
    help="Also match what converters rename, fuse, split, transpose or permute.",
)
@click.option("--only", multiple=True, metavar="GLOB", help="Compare these names only; repeatable.")
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
    "--threads", type=click.IntRange(1), help="Workers that read and sum at once; default up to 4."
)
@grouping_options
@output_options
def command(
    a: Path, b: Path, outputs: Outputs, quiet: bool, grouping: Grouping, **settings: Any
) -> int:
    """How far checkpoint B is from checkpoint A, the reference.

    Each is a safetensors, torch or npz file, an index of shards, a Hugging Face folder or a hub id
    such as owner/name, told apart by content and never unpickled as code; weights stored packed
    (FP8, GPTQ, NF4, ...) are compared as the numbers they mean. Tensors are paired by name; the
    table shows for each layer how far it moved, as a fraction of its size and as a multiple of
    what rounding would do, and its share of deep relative trust. With --model and --inputs it also
    measures what the outputs do, beside every bound. The folder of a LoRA adapter as B means A with
    it added.

    \b
    netdistance compare base.safetensors tuned.safetensors
    netdistance compare a.pth b.pth --model net.py:build --inputs images.npy
    netdistance compare hub/ converted.safetensors --conversions
    netdistance compare base/ tuned/ --rename '^model\\.=' --blocks
    netdistance compare a.pth b.pth --fail-if 'relative_frobenius>0.1' --json report.json
    """
    # imported here: --help of this or another command does not pay for numpy
    from netdistance.studies.compare import CompareOptions, compare

    outputs.check([a, b, settings["inputs"], settings["targets"]])
    options = CompareOptions(**settings)
    # a model may print, and stdout is the report's alone
    with contextlib.redirect_stdout(sys.stderr):
        report = compare(a, b, options, progress=terminal_progress(quiet=quiet))
    return emit(report, outputs, quiet=quiet, grouping=grouping)
