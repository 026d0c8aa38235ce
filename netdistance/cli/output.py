"""Where a report goes: text on stdout, JSON and figures into files, each whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from netdistance.errors import EXIT_COMPARED, EXIT_THRESHOLD, OutputError, UsageError

if TYPE_CHECKING:
    from netdistance.report.document import Report

Command = TypeVar("Command", bound=Callable[..., Any])

_FIGURE_SUFFIXES = (".png", ".svg", ".pdf")


@dataclass(frozen=True, slots=True)
class Outputs:
    """What was asked for besides the text; `-` is stdout, which then holds nothing else."""

    json: str | None
    plot: str | None
    everything: bool

    def check(self, inputs: Sequence[str | os.PathLike[str] | None]) -> None:
        """Refuse an output that cannot be written, before anything is computed.

        Raises:
            UsageError: a directory, a missing folder, an input file, one file for two outputs, or
                an unknown figure format.
        """
        for target in (self.json, self.plot):
            if target is None or target == "-":
                continue
            try:
                _check_target(Path(target), inputs)
            except OSError as error:  # such as a name that is too long
                raise UsageError(f"{target}: {error.strerror}") from error
        if self.json is not None and self.json == self.plot:
            raise UsageError(f"{self.json}: is named for two outputs; name two files")
        if self.plot == "-" or (self.plot and Path(self.plot).suffix not in _FIGURE_SUFFIXES):
            raise UsageError(
                f"--plot {self.plot}: expected a name in {', '.join(_FIGURE_SUFFIXES)}"
            )


def _check_target(path: Path, inputs: Sequence[str | os.PathLike[str] | None]) -> None:
    if path.is_dir():
        raise UsageError(f"{path}: is a directory, expected a file to write")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path}: its folder does not exist; make it first")
    present = [given for given in inputs if given and path.exists() and os.path.exists(given)]
    if any(path.samefile(given) for given in present):
        raise UsageError(f"{path}: is also an input, which would be overwritten")


def output_options(command: Command) -> Command:
    """The options that every study shares; the command receives them as `outputs` and `quiet`."""
    options = (
        click.option(
            "--json", "json_", metavar="FILE", help="Write the report as JSON; - for stdout."
        ),
        click.option("--plot", metavar="FILE", help="Write the figure: .png, .svg or .pdf."),
        click.option("--all", "everything", is_flag=True, help="Show every row of a table."),
        click.option("--quiet", "-q", is_flag=True, help="No progress bar and no text."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def emit(report: Report, outputs: Outputs, *, quiet: bool) -> int:
    """Write every output and print the text; the exit code comes back.

    Raises:
        OutputError: a file could not be written; what stood there before is intact.
    """
    # imported here, and so below: --help does not pay for what it does not use
    if outputs.json is not None:
        from netdistance.report.json import render_json

        _write(outputs.json, render_json(report))
    if outputs.plot is not None:
        from netdistance.report.figures import render_figure

        _write(outputs.plot, render_figure(report, Path(outputs.plot).suffix.lstrip(".")))
    if outputs.json != "-" and not quiet:
        from netdistance.report.text import render_text

        text = render_text(report, everything=outputs.everything)
        if outputs.plot is not None:
            text += f"figure: {outputs.plot}\n"
        print_text(text)
    passed = all(threshold.passed for threshold in report.verdict.thresholds)
    return EXIT_COMPARED if passed else EXIT_THRESHOLD


def print_text(text: str) -> None:
    """Print to stdout in its own encoding, with what it cannot say escaped."""
    with _standard_output() as out:
        encoding = out.encoding or "ascii"
        out.write(text.encode(encoding, "backslashreplace").decode(encoding))


@contextmanager
def _standard_output() -> Iterator[TextIO]:
    """stdout, flushed. A reader that left early is no error: what follows goes nowhere.

    Raises:
        OutputError: it is closed or cannot be written, as on a full disk.
    """
    if sys.stdout is None:  # closed by the shell, as >&- does
        raise OutputError("standard output: is closed; open it, or use --quiet")
    try:
        yield sys.stdout
        sys.stdout.flush()
    except OSError as error:
        # what is still buffered would fail again when the interpreter exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(error, BrokenPipeError):
            raise OutputError(f"standard output: cannot be written: {error.strerror}") from error


def _write(target: str, content: bytes) -> None:
    if target == "-":
        with _standard_output() as out:
            out.buffer.write(content)
        return
    from netdistance.report.files import write_atomically

    write_atomically(Path(target), content)
