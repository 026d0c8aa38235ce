"""A report that was saved to a file, read back."""

from __future__ import annotations

import os
from pathlib import Path

from netdistance.errors import InputError
from netdistance.report import from_json
from netdistance.report.document import Report


def read_report(path: str | os.PathLike[str]) -> Report:
    """The report in a file that `--json`, or `render(report, "json")`, made.

    Raises:
        InputError: it cannot be read, is no strict JSON, or no report of this version.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        what = f"cannot be read: {error.strerror}; give a saved report"
        raise InputError(f"{path}: {what}") from error
    return from_json.read_report(content, path)
