"""What training scripts put around the weights: opened, and named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from netdistance.errors import CheckpointError

_MAX_WRAPPERS = 8
_MAX_LEVELS = 16  # of mappings and lists in each other: a file can nest them without end
_CONTAINERS = (Mapping, list, tuple)
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model")


def unwrap(content: Any, path: Path) -> tuple[Mapping[Any, Any], tuple[str, ...]]:
    """The mapping that holds the weights, and notes naming each wrapper that was opened.

    Raises:
        CheckpointError: there is no mapping inside, or one that an optimiser saved.
    """
    opened: list[str] = []
    beside: list[str] = []
    while len(opened) < _MAX_WRAPPERS:  # a file can hold itself
        if isinstance(content, list | tuple) and len(content) == 1:
            content, step = content[0], "[0]"
        elif isinstance(content, Mapping) and (key := _wrapper_key(content)) is not None:
            beside += [_name(other) for other in content if other != key]
            content, step = content[key], f"[{key!r}]"
        else:
            break
        opened.append(step)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            path, f"holds a {type(content).__name__}, expected a state dict: names to tensors"
        )
    if _is_optimizer(content):
        raise CheckpointError(path, "holds the state of an optimiser, expected weights")
    if not opened:
        return content, ()
    left_out = f", leaving out {', '.join(beside)}" if beside else ""
    return content, (f"weights found under {''.join(opened)}{left_out}",)


def _wrapper_key(content: Mapping[Any, Any]) -> str | None:
    return next((k for k in WRAPPERS if isinstance(content.get(k), Mapping | list)), None)


def named_tensors(
    content: Mapping[Any, Any], kinds: type | tuple[type, ...], path: Path
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The values of these kinds by name, and a note of what else is there.

    What lies inside mappings and lists is named by its way there, joined by dots: encoder.weight.
    The state of an optimiser never counts, and a mapping or list in two places counts once.

    Raises:
        CheckpointError: two entries have one name.
    """
    found: dict[str, Any] = {}
    opened: set[str] = set()
    others: list[tuple[str, ...]] = []
    for way, value in _leaves(content, kinds, {id(content)}, _MAX_LEVELS):
        name = ".".join(way)
        if not isinstance(value, kinds):
            others.append(way)
        elif name in found:
            raise CheckpointError(path, "two entries have this name", tensor=name)
        else:
            found[name] = value
            opened.add(way[0])
    if not others:
        return found, ()
    # what holds no tensor at all is named once
    left_out = dict.fromkeys(".".join(way) if way[0] in opened else way[0] for way in others)
    return found, (f"entries that are not tensors were left out: {', '.join(left_out)}",)


def _leaves(
    content: Any, kinds: type | tuple[type, ...], seen: set[int], levels: int
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What is inside and not opened further, each with the names that lead there."""
    for key, value in content.items() if isinstance(content, Mapping) else enumerate(content):
        name = _name(key)
        if levels and id(value) not in seen and _may_hold(value, kinds):
            seen.add(id(value))
            for way, leaf in _leaves(value, kinds, seen, levels - 1):
                yield (name, *way), leaf
        else:
            yield (name,), value


def _may_hold(value: object, kinds: type | tuple[type, ...]) -> bool:
    """Whether tensors can be inside, the state of an optimiser apart."""
    if isinstance(value, Mapping):
        return bool(value) and not _is_optimizer(value)
    inner = value if isinstance(value, list | tuple) else ()
    return any(isinstance(item, (kinds, _CONTAINERS)) for item in inner)


def _name(key: object) -> str:
    try:
        return key if isinstance(key, str) else repr(key)
    except RecursionError:
        return f"a {type(key).__name__} nested too deeply"


def _is_optimizer(content: Mapping[Any, Any]) -> bool:
    # the entries of torch.optim.Optimizer.state_dict()
    return {"state", "param_groups"} <= content.keys()
