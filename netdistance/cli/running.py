"""The options of every command that runs a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


_PATH = click.Path(path_type=Path)
_TARGETS = click.option(
    "--targets", type=_PATH, help="Class labels: .npy, or IDX (gzipped or not)."
)
_RANDOM_INPUTS = click.option(
    "--random-inputs",
    metavar="SHAPE",
    help="Standard normal inputs instead, such as 64,3,32,32; the report calls them synthetic.",
)
_CERTIFY = click.option(
    "--certify",
    type=click.IntRange(0),
    default=16,
    show_default=True,
    metavar="N",
    help="Certificates, attack and Jacobians cover the first N inputs.",
)
_OPTIONS = (
    click.option(
        "--model",
        metavar="FILE.py:FACTORY",
        help="What builds the network: file.py:factory or package.module:factory, a callable "
        "that returns a torch.nn.Module; this RUNS that file's code. Or a Hugging Face folder or "
        "cached hub id, with the transformers extra.",
    ),
    click.option(
        "--inputs",
        type=_PATH,
        help="Inputs: .npy, IDX images (gzipped or not), or arrays by forward argument name in "
        ".npz, .safetensors or .pt; or .txt, a text on each line, for a Hugging Face model.",
    ),
    _RANDOM_INPUTS,
    _TARGETS,
    click.option(
        "--output",
        metavar="NAME",
        help="Which member of a structured output counts: a key, or a number from 0.",
    ),
    click.option(
        "--dtype",
        type=click.Choice(["float64", "float32", "bfloat16", "float16"]),
        help="What the network computes in; default its own.",
    ),
    _CERTIFY,
    click.option(
        "--batch-size",
        type=click.IntRange(1),
        default=512,
        show_default=True,
        metavar="N",
        help="Inputs that run at once; less needs less memory.",
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where the network runs; auto is CUDA where there is one.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, 2**62),
        default=0,
        show_default=True,
        help="Seed of every draw.",
    ),
)


def naming_options(*, renames: str) -> Callable[[Command], Command]:
    """Add --strip-prefix, --rename of the names of `renames`, and --skip."""
    options = (
        click.option(
            "--strip-prefix",
            default="",
            metavar="PREFIX",
            help="Strip this from the start of names, such as 'module.'",
        ),
        click.option(
            "--rename",
            multiple=True,
            metavar="REGEX=NEW",
            help=f"Rewrite {renames}; repeatable, in order.",
        ),
        click.option(
            "--skip",
            multiple=True,
            metavar="GLOB",
            help="Leave these names out, such as '*.bias'; repeatable.",
        ),
    )

    return lambda command: _with(command, options)


def running_options(command: Command) -> Command:
    """Add the options above; their names are the fields of `studies.run_options.RunOptions`."""
    return _with(command, _OPTIONS)


def unlabelled_running_options(command: Command) -> Command:
    """Add them without --targets, for a command that judges no answers."""
    return _with(command, [option for option in _OPTIONS if option is not _TARGETS])


def uncertified_running_options(command: Command) -> Command:
    """Add them without --certify, for a command that certifies nothing."""
    return _with(command, [option for option in _OPTIONS if option is not _CERTIFY])


def judging_options(command: Command) -> Command:
    """Add those of a command that judges answers to real inputs and certifies nothing."""
    others = (_RANDOM_INPUTS, _CERTIFY)
    return _with(command, [option for option in _OPTIONS if option not in others])


def moving_options(command: Command) -> Command:
    """Add --scope and --layers: which parameters move."""
    scope = click.option(
        "--scope",
        type=click.Choice(["weights", "all"]),
        default="weights",
        show_default=True,
        help="Move tensors with two or more axes, or all parameters.",
    )
    layers = click.option(
        "--layers",
        multiple=True,
        metavar="GLOB",
        help="Move only parameters of these names; repeatable.",
    )
    return _with(command, (scope, layers))


def _with(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
