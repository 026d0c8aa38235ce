"""`netdistance train`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from netdistance.cli.comma_separated import comma_separated
from netdistance.cli.output import Outputs, emit, output_options, print_text
from netdistance.cli.terminal import terminal_progress
from netdistance.report.files import make_folder, write_atomically


@click.command("train")
@click.option(
    "--task",
    default="checkerboard",
    show_default=True,
    metavar="NAME|FILE:FACTORY",
    help="What is learned: circle, xor, gauss, spiral or checkerboard; digits; mnist, fashion or "
    "text, with --data; mackey-glass; or file.py:factory, whose code is run.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The folder of mnist's or fashion's IDX files, or the text file.",
)
@click.option(
    "--network",
    metavar="NAME",
    help="mlp, mlp-tanh, mlp-residual, cnn or transformer; the task's own choice unless given.",
)
@click.option(
    "--init",
    metavar="he|torch",
    default="he",
    show_default=True,
    help="Initial weights: Gaussian of variance 2 / fan-in, or torch's uniform of 1 / (3 fan-in).",
)
@click.option(
    "--optimizer",
    "optimizers",
    callback=comma_separated(str, "names"),
    metavar="NAME,...",
    default="fromage,sgd,adamw",
    show_default=True,
    help="fromage, lars, lamb, sgd (momentum 0.9), adamw or muon (biases by adamw), comma "
    "separated; adamw@0.001 is adamw at this learning rate, whatever --lr says.",
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
    "--lr-decay",
    type=float,
    default=1.0,
    show_default=True,
    metavar="FACTOR",
    help="Multiply the learning rate by this after each epoch.",
)
@click.option(
    "--depth",
    "depths",
    callback=comma_separated(int, "whole numbers"),
    metavar="N,...",
    default="3",
    show_default=True,
    help="Numbers of hidden layers, convolutions or blocks, comma separated.",
)
@click.option(
    "--width",
    type=click.IntRange(1),
    default=32,
    show_default=True,
    metavar="N",
    help="Neurons, channels or features in each of them.",
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
    help="Optimizer steps in each run.",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    default=128,
    show_default=True,
    metavar="N",
    help="Examples in a step.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Where evaluations, checkpoints, figures and report.json go; finished runs there are "
    "kept.",
)
@click.option(
    "--keep-checkpoints",
    is_flag=True,
    help="Keep the network at each of the 20 evaluations of a run, not at its ends alone.",
)
@output_options
def command(outputs: Outputs, quiet: bool, **settings: Any) -> int:
    """Train the same network by several optimisers and compare how they get where they end.

    Every optimizer is run at every learning rate, depth and seed. Each run leaves its evaluations
    in DIR/RUN.jsonl and its network before and after in DIR/RUN/, as initial.safetensors and
    final.safetensors, which `netdistance compare` reads; DIR/RUN/network.py builds the network for
    --model, DIR/TASK-inputs.npy and TASK-targets.npy are test examples for --inputs and --targets.
    The report is DIR/report.json, its figures are DIR/figures/*.png, and --plot draws them in one.
    Run the command again after an interruption: finished runs are not repeated.

    Beside losses and accuracies stand the deep relative trust of single steps and of the whole
    way, and how norms and singular values of the weights grow. A run has diverged when its loss or
    a parameter is not finite, or its final loss is over 10 x the initial one.

    \b
    netdistance train --out runs
    netdistance train --optimizer fromage,adamw --lr 0.001,0.01,0.1 --seeds 3 \\
        --depth 1,5,20 --out runs --plot everything.png
    netdistance train --task text --data shakespeare.txt --depth 2 --width 64 \\
        --lr 0.003 --steps 1000 --out chars
    """
    outputs.check([settings["data"]])
    # imported here: --help does not pay for torch
    from netdistance.report.figures import render_parts
    from netdistance.report.json import render_json
    from netdistance.studies.train import TrainOptions, train

    options = TrainOptions(**settings)
    # a task's file may print, and stdout is the report's alone
    with contextlib.redirect_stdout(sys.stderr):
        report = train(options, progress=terminal_progress(quiet=quiet))
    out: Path = settings["out"]
    write_atomically(out / "report.json", render_json(report))
    make_folder(out / "figures")
    for name, image in render_parts(report, "png").items():
        write_atomically(out / "figures" / f"{name}.png", image)
    code = emit(report, outputs, quiet=quiet)
    if outputs.text and not quiet:
        print_text(f"evaluations, checkpoints, figures and report.json: {out}\n")
    return code
