"""The command line: the only place that prints or exits."""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import click

from netdistance import __version__, errors
from netdistance.report.escape import visible


class _LazyGroup(click.Group):
    """Commands by name, each imported when it is used: `--help` of one does not pay for another."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [
            "demo", "compare", "perturb", "sensitivity", "width", "gradients", "audit", "train",
            "render",
        ]  # fmt: skip

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = __import__(f"netdistance.cli.{cmd_name}", fromlist=["command"])
        command: click.Command = module.command
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="netdistance")
@click.option("--debug", is_flag=True, help="Show a traceback instead of the one-line error.")
def app(debug: bool) -> None:
    """How far apart are two neural networks, and how much does it matter?

    Every number says how it is known: exact, certified (a theorem), estimated (a sample or first
    order), or modelled (deep relative trust, which can be violated).

    Start with: netdistance demo
    """


class _StoppedError(BaseException):
    """A signal arrived; raised, so that nothing half-written stays behind.

    Not KeyboardInterrupt, at which click prints a line of its own.
    """

    def __init__(self, number: int) -> None:
        self.number = number


_STOPS = {
    signal.SIGINT: ("interrupted", errors.EXIT_INTERRUPTED),
    signal.SIGTERM: ("terminated", errors.EXIT_TERMINATED),
}


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise _StoppedError(number)


def _catch_signals() -> None:
    for number in _STOPS:
        # what the parent ignores stays ignored, as after nohup
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: the process's exit code is the contract of docs/reference."""
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    with contextlib.suppress(ValueError):  # only the main thread may set a handler
        _catch_signals()
    sys.exit(_run(arguments, debug="--debug" in arguments))


def _run(arguments: list[str], *, debug: bool) -> int:
    try:
        result = app.main(arguments, prog_name="netdistance", standalone_mode=False)
        return result if isinstance(result, int) else errors.EXIT_COMPARED
    except click.ClickException as error:
        return _say(_usage(error), error.exit_code)
    except errors.NetDistanceError as error:
        if debug:
            traceback.print_exc()
        return _say(str(error), errors.exit_code(error))
    except _StoppedError as stop:
        return _say(*_STOPS[signal.Signals(stop.number)])
    except MemoryError as error:
        return _say(f"not enough memory ({error}); close other programs", 3)
    except Exception as error:
        if debug:
            traceback.print_exc()
        what = f"internal error: {type(error).__name__}: {error}; run with --debug and report it"
        return _say(what, errors.EXIT_INTERNAL)


def _usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    hint = f"; see {context.command_path} --help" if context is not None else ""
    return f"{error.format_message().rstrip('.')}{hint}"


def _say(message: str, code: int) -> int:
    """One line on stderr, safe to show; the exit code comes back."""
    with contextlib.suppress(OSError, AttributeError):  # full, or closed by the shell: None
        sys.stderr.write(f"netdistance: error: {visible(' '.join(message.split()))}\n")
    return code
