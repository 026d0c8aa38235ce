"""JSON that nobody vouches for: an object whose keys stand once, or a CheckpointError."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from netdistance.errors import CheckpointError


class _DuplicateKeyError(ValueError):
    pass


def json_object(raw: bytes, path: Path, what: str) -> dict[str, Any]:
    """The object that the text is; errors begin with `what`.

    Raises:
        CheckpointError: no UTF-8, no JSON, nested too deeply, no object, or a key stands twice.
    """
    try:
        found = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique_keys)
    except _DuplicateKeyError as error:
        raise CheckpointError(path, f"{what}: {error}") from None
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise CheckpointError(path, f"{what}: not JSON ({reason})") from None
    if not isinstance(found, dict):
        kind = type(found).__name__
        raise CheckpointError(path, f"{what}: a {kind}, expected a JSON object")
    return found


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    "".join(result).encode()  # a lone surrogate is no text: UnicodeEncodeError, a ValueError
    if len(result) < len(pairs):
        count = Counter(key for key, _ in pairs)
        raise _DuplicateKeyError(f"the key {max(count, key=count.__getitem__)!r} stands twice")
    return result
