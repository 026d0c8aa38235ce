"""What training scripts put around the weights: opened, and named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netdistance.errors import CheckpointError

_MAX_WRAPPERS = 8
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model")


def unwrap(content: Any, path: Path) -> tuple[Mapping[Any, Any], tuple[str, ...]]:
    """The mapping that holds the weights, and notes naming each wrapper that was opened.

    Raises:
        CheckpointError: there is no mapping inside.
    """
    opened: list[str] = []
    beside: list[str] = []
    while len(opened) < _MAX_WRAPPERS:  # a file can hold itself
        if isinstance(content, list | tuple) and len(content) == 1:
            content, step = content[0], "[0]"
        elif isinstance(content, Mapping) and (key := _wrapper_key(content)) is not None:
            beside += [str(other) for other in content if other != key]
            content, step = content[key], f"[{key!r}]"
        else:
            break
        opened.append(step)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            path, f"holds a {type(content).__name__}, expected a state dict: names to tensors"
        )
    if not opened:
        return content, ()
    left_out = f", leaving out {', '.join(beside)}" if beside else ""
    return content, (f"weights found under {''.join(opened)}{left_out}",)


def _wrapper_key(content: Mapping[Any, Any]) -> str | None:
    return next((k for k in WRAPPERS if isinstance(content.get(k), Mapping | list)), None)


def named_tensors(
    content: Mapping[Any, Any], kinds: type | tuple[type, ...]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The values of these kinds by name, and a note of what else is there."""
    found: dict[str, Any] = {}
    left_out: list[str] = []
    for key, value in content.items():
        name = key if isinstance(key, str) else repr(key)
        if isinstance(value, kinds):
            found[name] = value
        else:
            left_out.append(name)
    if not left_out:
        return found, ()
    return found, (f"entries that are not tensors were left out: {', '.join(left_out)}",)
