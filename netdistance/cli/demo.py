"""`netdistance demo`: the first thing a new user runs."""

from __future__ import annotations

import click

from netdistance import demo
from netdistance.cli.output import Outputs, emit, output_options, print_text
from netdistance.cli.terminal import terminal_progress
from netdistance.report.layout import paragraph
from netdistance.report.reading import read_comparison
from netdistance.studies.compare import compare


@click.command("demo")
@output_options
def command(json_: str | None, plot: str | None, everything: bool, quiet: bool) -> int:
    """Compare a small trained network with its 4-bit copy; both come with the package.

    Needs no files of yours and no torch. Prints the table, how to read it, and what to run next.
    """
    outputs = Outputs(json_, plot, everything)
    outputs.check([demo.TRAINED, demo.ROUNDED])
    report = compare(demo.TRAINED, demo.ROUNDED, progress=terminal_progress(quiet=quiet))
    code = emit(report, outputs, quiet=quiet)
    if json_ != "-" and not quiet:
        reading = "\n".join(paragraph(read_comparison(report)))
        print_text(f"\n{reading}\n\n{_next()}")
    return code


def _next() -> str:
    """Commands to paste, on the demo's own files."""
    folder = demo.FOLDER
    return (
        "Run next, on these same files:\n"
        f"  cd {folder}\n"
        f"  netdistance compare {demo.TRAINED.name} {demo.ROUNDED.name} \\\n"
        f"      --model network.py:build --inputs {demo.POINTS.name} --targets {demo.LABELS.name}\n"
        f"  netdistance perturb {demo.TRAINED.name} \\\n"
        f"      --model network.py:build --inputs {demo.POINTS.name} --targets {demo.LABELS.name}\n"
        "and then on yours: netdistance compare A B (netdistance compare --help)\n"
    )
