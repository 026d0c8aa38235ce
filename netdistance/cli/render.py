"""`netdistance render REPORT`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netdistance.cli.output import Outputs, emit, grouping_options, output_options
from netdistance.errors import EXIT_COMPARED, InputError, UsageError

if TYPE_CHECKING:
    from netdistance.report.layers import Grouping

# what a renderer meets in a report that fits the schema but lacks what its study always has
_INCOMPLETE = (ArithmeticError, LookupError, StopIteration, TypeError, ValueError)


@click.command("render")
@click.argument("report", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--text", is_flag=True, help="Print the text, also beside other outputs.")
@grouping_options
@output_options
def command(report: Path, text: bool, grouping: Grouping, outputs: Outputs, quiet: bool) -> int:
    """Show a saved REPORT.json again: as text, CSV, Markdown, one HTML page or a figure.

    Without options it prints the text. Needs neither torch nor the checkpoints; - reads stdin. What
    comes out is what the command that made the report would have written. Thresholds were judged
    by that command: a report with a failed one renders with exit code 0.

    \b
    netdistance render report.json --html report.html --plot layers.svg
    netdistance render report.json --markdown - >> comment.md
    """
    # imported here: --help of this or another command does not pay for it
    from netdistance.report import from_json, saved

    if text and (quiet or not outputs.text):
        raise UsageError("--text: stdout is silent or holds a document; leave out one of the two")
    outputs.check([report])
    piped = str(report) == "-"
    read = (
        from_json.read_report(sys.stdin.buffer.read(), report)
        if piped
        else saved.read_report(report)
    )
    silent = quiet or (bool(outputs.targets) and not text)
    try:
        emit(read, outputs, quiet=silent, grouping=grouping)
    except _INCOMPLETE as error:
        what = f"lacks what a report of {read.study!r} holds ({type(error).__name__}: {error})"
        raise InputError(f"{report}: {what}; give one that --json wrote") from error
    return EXIT_COMPARED
