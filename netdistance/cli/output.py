"""Where a report goes: text on stdout, documents and figures into files, whole or not at all."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

import click

from netdistance.errors import EXIT_COMPARED, EXIT_THRESHOLD, OutputError, UsageError
from netdistance.report.renderers import RENDERERS, Renderer

if TYPE_CHECKING:
    from netdistance.report.document import Report
    from netdistance.report.layers import Grouping

Command = TypeVar("Command", bound=Callable[..., Any])

_STDOUT = "-"
_HELP = {
    "json": "Write the report as JSON; - for stdout.",
    "csv": "Write every number as a row of a table; - for stdout.",
    "markdown": "Write a pull-request comment; - for stdout.",
    "html": "Write one self-contained page; - for stdout.",
    "plot": "Write the figure: .png, .svg or .pdf.",
}


@dataclass(frozen=True, slots=True)
class Outputs:
    """What was asked for besides the text: the file, or `-` for stdout, of each option by name."""

    targets: Mapping[str, str]
    everything: bool

    @property
    def text(self) -> bool:
        """Whether stdout is free for text: it holds a document and nothing else where one is."""
        return _STDOUT not in self.targets.values()

    def check(
        self,
        inputs: Sequence[str | os.PathLike[str] | None],
        *,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> None:
        """Refuse an output that cannot be written, before anything is computed.

        `checkpoint` is a file that the study itself will write.

        Raises:
            UsageError: a directory, a missing folder, an input file or one that stands in an input
                folder, one file for two outputs, or an unknown figure format.
        """
        taken: set[str] = set()
        if checkpoint is not None:
            _check_target(Path(checkpoint), inputs)
            _check_beside(Path(checkpoint), inputs)
            taken.add(os.path.realpath(checkpoint))
        for option, target in self.targets.items():
            place = target
            if target != _STDOUT:
                try:
                    _check_target(Path(target), inputs)
                    place = os.path.realpath(target)
                except OSError as error:  # such as a name that is too long
                    raise UsageError(f"{target}: {error.strerror}") from error
            if place in taken:
                raise UsageError(f"{target}: is named for two outputs; name two files")
            taken.add(place)
            _renderer(option, target)


def _renderer(option: str, target: str) -> Renderer:
    """What writes that option's document; a figure's suffix says which.

    Raises:
        UsageError: a figure of unknown format.
    """
    found = [renderer for renderer in RENDERERS if renderer.option == option]
    fitting = [renderer for renderer in found if renderer.suffix == Path(target).suffix]
    if len(found) > 1 and not fitting:
        known = ", ".join(renderer.suffix for renderer in found)
        raise UsageError(f"--{option} {target}: expected a name in {known}")
    return (fitting or found)[0]


def _check_target(path: Path, inputs: Sequence[str | os.PathLike[str] | None]) -> None:
    if path.is_dir():
        raise UsageError(f"{path}: is a directory, expected a file to write")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path}: its folder does not exist; make it first")
    present = [given for given in inputs if given and path.exists() and os.path.exists(given)]
    if any(path.samefile(given) for given in present):
        raise UsageError(f"{path}: is also an input, which would be overwritten")


def _check_beside(path: Path, inputs: Sequence[str | os.PathLike[str] | None]) -> None:
    """Refuse a file that stands in the folder of an input: it may be one of its shards."""
    folders = [given for given in inputs if given and os.path.isdir(given)]
    if path.exists() and any(path.parent.samefile(folder) for folder in folders):
        raise UsageError(f"{path}: stands in the input's folder; name another file")


def output_options(command: Command) -> Command:
    """The options that every study shares; the command receives them as `outputs` and `quiet`."""

    @functools.wraps(command)
    def gathered(*arguments: Any, everything: bool, **others: Any) -> Any:
        given = {option: others.pop(f"{option}_") for option in _HELP}
        targets = {option: target for option, target in given.items() if target is not None}
        return command(*arguments, outputs=Outputs(targets, everything), **others)

    options = (
        *(click.option(f"--{o}", f"{o}_", metavar="FILE", help=text) for o, text in _HELP.items()),
        click.option("--all", "everything", is_flag=True, help="Show every row of a table."),
        click.option("--quiet", "-q", is_flag=True, help="No progress bar and no text."),
    )
    for option in reversed(options):
        gathered = option(gathered)
    return cast(Command, gathered)


def grouping_options(command: Command) -> Command:
    """--tensors and --blocks, of which the command receives one as `grouping`."""
    tensors = click.option(
        "--tensors",
        "grouping",
        flag_value="tensors",
        default="layers",
        help="A row for every tensor, all of them.",
    )
    blocks = click.option(
        "--blocks",
        "grouping",
        flag_value="blocks",
        help="A row for each block, as model.layers.12.",
    )
    return tensors(blocks(command))


def emit(report: Report, outputs: Outputs, *, quiet: bool, grouping: Grouping = "layers") -> int:
    """Write every output and print the text; the exit code comes back.

    Raises:
        OutputError: a file could not be written; what stood there before is intact.
    """
    # all of them first: where one cannot be made, none is written
    contents = {
        target: _renderer(option, target).render(report)
        for option, target in outputs.targets.items()
    }
    text = ""
    if outputs.text and not quiet:
        # imported here: --help does not pay for what it does not use
        from netdistance.report.text import render_text

        text = render_text(report, everything=outputs.everything, grouping=grouping)
        if "plot" in outputs.targets:
            text += f"figure: {outputs.targets['plot']}\n"
    for target, content in contents.items():
        _write(target, content)
    if text:
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
    if target == _STDOUT:
        with _standard_output() as out:
            out.buffer.write(content)
        return
    from netdistance.report.files import write_atomically

    write_atomically(Path(target), content)
