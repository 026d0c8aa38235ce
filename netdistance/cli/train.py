"""`netdistance train`."""

from __future__ import annotations

from pathlib import Path

import click

from netdistance.cli.comma_separated import comma_separated
from netdistance.cli.output import Outputs, emit, output_options, print_text
from netdistance.cli.terminal import terminal_progress
from netdistance.report.files import write_atomically


@click.command("train")
@click.option(
    "--task", default="checkerboard", show_default=True, metavar="NAME", help="What is learned."
)
@click.option(
    "--optimizer",
    "optimizers",
    callback=comma_separated(str, "names"),
    metavar="NAME,...",
    default="fromage,sgd,adamw",
    show_default=True,
    help="fromage, lars, lamb, sgd (momentum 0.9), adamw or muon (biases by adamw), comma "
    "separated.",
)
@click.option(
    "--lr",
    "lrs",
    callback=comma_separated(float, "numbers"),
    metavar="NUMBER,...",
    default="0.01",
    show_default=True,
    help="Learning rates, comma separated; for fromage, lars and lamb, the size of a step relative "
    "to a tensor.",
)
@click.option(
    "--depth",
    "depths",
    callback=comma_separated(int, "whole numbers"),
    metavar="N,...",
    default="3",
    show_default=True,
    help="Numbers of hidden layers, comma separated.",
)
@click.option(
    "--width",
    type=click.IntRange(1),
    default=32,
    show_default=True,
    metavar="N",
    help="Neurons in each hidden layer.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="How many seeds, from 0 up.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=4000,
    show_default=True,
    metavar="N",
    help="Optimizer steps in each run, in batches of 128.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Where evaluations, checkpoints and report.json go; finished runs there are kept.",
)
@output_options
def command(
    task: str,
    optimizers: tuple[str, ...],
    lrs: tuple[float, ...],
    depths: tuple[int, ...],
    width: int,
    seeds: int,
    steps: int,
    out: Path,
    outputs: Outputs,
    quiet: bool,
) -> int:
    """Train the same network by several optimisers and compare where they end.

    Every optimizer is run at every learning rate, depth and seed. The task is checkerboard: 1,000
    points of a 2 x 2 board. Each run leaves its evaluations in DIR/RUN.jsonl and its network
    before and after in DIR/RUN/, as initial.safetensors and final.safetensors, which
    `netdistance compare` reads. Run the command again after an interruption: finished runs are
    not repeated.

    A run has diverged when its loss or a parameter is not finite, or its final loss is over 10 x
    the initial one. --plot draws the final loss against the learning rate.

    \b
    netdistance train --out runs
    netdistance train --optimizer fromage,adamw --lr 0.001,0.01,0.1 --seeds 3 \\
        --depth 1,5,20 --out runs --plot sensitivity.png
    """
    outputs.check([])
    # imported here: --help does not pay for torch
    from netdistance.report.json import render_json
    from netdistance.studies.train import TrainOptions, train

    options = TrainOptions(
        task=task,
        optimizers=optimizers,
        lrs=lrs,
        depths=depths,
        width=width,
        seeds=seeds,
        steps=steps,
        out=out,
    )
    report = train(options, progress=terminal_progress(quiet=quiet))
    write_atomically(out / "report.json", render_json(report))
    code = emit(report, outputs, quiet=quiet)
    if outputs.text and not quiet:
        print_text(f"evaluations, checkpoints and report.json: {out}\n")
    return code
