"""Every error that a user can cause or meet, and the exit code of each."""

from __future__ import annotations


class NetDistanceError(Exception):
    """Base of all errors of this package: one line that says what was found and what to do."""


class UsageError(NetDistanceError):
    """The request contradicts itself or cannot be understood."""


class InputError(NetDistanceError):
    """A file, model or array that was given cannot be used."""


class CheckpointError(InputError):
    """A checkpoint is unreadable or invalid: `FILE: tensor 'NAME': what; what to type`."""

    def __init__(self, path: object, what: str, tensor: str | None = None) -> None:
        """Keep the parts: an error of a worker process is pickled as its arguments."""
        super().__init__(path, what, tensor)

    def __str__(self) -> str:
        """The one line."""
        path, what, tensor = self.args
        return f"{path}: {what}" if tensor is None else f"{path}: tensor {tensor!r}: {what}"


class NothingComparableError(NetDistanceError):
    """The inputs are valid, but share nothing that can be compared."""


class OutputError(NetDistanceError):
    """A report could not be written."""


class BoundViolationError(NetDistanceError):
    """A certificate lies below a measurement: a defect of this package, never a result."""


EXIT_COMPARED = 0
EXIT_THRESHOLD = 1
EXIT_INTERNAL = 70
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

# The first class that matches decides, so subclasses would stand before their parents.
EXIT_CODES: tuple[tuple[type[NetDistanceError], int], ...] = (
    (UsageError, 2),
    (InputError, 3),
    (NothingComparableError, 4),
    (OutputError, 5),
    (BoundViolationError, EXIT_INTERNAL),
)


def exit_code(error: NetDistanceError) -> int:
    """The process exit code that stands for an error.

    >>> exit_code(CheckpointError("a.safetensors", "empty file (0 bytes)"))
    3
    """
    return next((code for cls, code in EXIT_CODES if isinstance(error, cls)), EXIT_INTERNAL)


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return next(iter(str(error).strip().splitlines()), "no message")
