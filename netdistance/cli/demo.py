"""`netdistance demo`: the first thing a new user runs."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from netdistance.cli.output import Outputs, emit, output_options, print_text
from netdistance.cli.terminal import terminal_progress

_NEXT = """\
Run next, on these same files:
  cd {folder}
  netdistance compare spiral.safetensors spiral-int4.safetensors \\
      --model network.py:build --inputs points.npy --targets labels.npy
  netdistance perturb spiral.safetensors \\
      --model network.py:build --inputs points.npy --targets labels.npy
and then on yours: netdistance compare A B (netdistance compare --help)
"""


@click.command("demo")
@output_options
def command(outputs: Outputs, quiet: bool) -> int:
    """Compare a small trained network with its 4-bit copy; both come with the package.

    Needs no files of yours and no torch. Prints the table, how to read it, and what to run next.
    """
    # imported here: --help of this or another command does not pay for numpy
    from netdistance import demo
    from netdistance.report.layout import paragraph
    from netdistance.report.reading import read_comparison
    from netdistance.studies.compare import compare

    outputs.check([demo.TRAINED, demo.ROUNDED])
    report = compare(demo.TRAINED, demo.ROUNDED, progress=terminal_progress(quiet=quiet))
    code = emit(report, outputs, quiet=quiet)
    if outputs.text and not quiet:
        reading = "\n".join(paragraph(read_comparison(report)))
        print_text(f"\n{reading}\n\n{_next(demo.FOLDER)}")
    return code


def _next(folder: Path) -> str:
    """Commands to paste, on the demo's own files."""
    return _NEXT.format(folder=shlex.quote(str(folder)))
