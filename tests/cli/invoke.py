"""The command line run as a user runs it: in this process where that is enough, else in its own."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from netdistance.cli import main

PREFIX = "netdistance: error: "


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind."""

    code: int
    out: str
    err: str


def invoke(*arguments: str | os.PathLike[str], encoding: str = "utf-8") -> Outcome:
    """Run `netdistance ARGUMENTS` in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    code: object = None
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main([os.fspath(argument) for argument in arguments])
    except SystemExit as leaving:
        code = leaving.code
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert isinstance(code, int), f"the exit code is {code!r}"
    return Outcome(code, _text(out, encoding), _text(err, encoding))


def _text(stream: io.TextIOWrapper, encoding: str) -> str:
    stream.flush()
    raw = stream.buffer
    assert isinstance(raw, io.BytesIO)
    return raw.getvalue().decode(encoding, "surrogateescape")


def environment(**changes: str) -> dict[str, str]:
    """This process's environment with changes, and warnings as errors."""
    return {**os.environ, "PYTHONWARNINGS": "error", **changes}


def command(*arguments: str | os.PathLike[str]) -> list[str]:
    """The words that start netdistance in a process of its own."""
    return [sys.executable, "-m", "netdistance", *(os.fspath(word) for word in arguments)]


def run_process(
    *arguments: str | os.PathLike[str], env: Mapping[str, str] | None = None, timeout: float = 60.0
) -> Outcome:
    """Run `netdistance ARGUMENTS` in a process of its own."""
    done = subprocess.run(
        command(*arguments),
        env=environment() if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def error_problem(outcome: Outcome, code: int, *words: str) -> str:
    """What is wrong with a run that had to fail, empty where it failed as the contract says."""
    if outcome.code != code:
        return f"exit code {outcome.code}, expected {code}: {outcome.err}"
    if outcome.out:
        return f"stdout is not empty: {outcome.out[:200]!r}"
    if not outcome.err.startswith(PREFIX) or outcome.err.count("\n") != 1:
        return f"stderr is not one error line: {outcome.err!r}"
    if not outcome.err[:-1].isprintable() or outcome.err[-1] != "\n":
        return f"stderr holds what a terminal obeys: {outcome.err!r}"
    missing = [word for word in words if word not in outcome.err]
    return f"the message lacks {missing}: {outcome.err!r}" if missing else ""


def leftovers(folder: Path, *expected: str) -> list[str]:
    """Files in a folder besides the expected ones: what a failed write left behind."""
    return sorted(path.name for path in folder.iterdir() if path.name not in expected)
