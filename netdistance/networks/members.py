"""Which tensor counts of what a forward returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor

from netdistance.errors import InputError


def member(returned: Any, name: str | None, network: str) -> Tensor:
    """The tensor that a forward returned, or the member of it that `name` says.

    A mapping and a dataclass have members by key, a tuple and a list by number from 0. What holds
    one tensor alone needs no name.

    Raises:
        InputError: there is no such tensor, or several and no name; the message lists them.
    """
    if isinstance(returned, Tensor):
        if name is not None:
            raise InputError(f"{network}: returns one tensor; leave --output {name} out")
        return returned
    kind, tensors = type(returned).__name__, _tensors(returned)
    if name is None and len(tensors) == 1:
        return next(iter(tensors.values()))
    if name is not None and name in tensors:
        return tensors[name]
    if not tensors:
        raise InputError(f"{network}: returns a {kind} without tensors, expected a tensor")
    what = f"a {kind} of {len(tensors)} tensors" if name is None else f"no tensor {name!r}"
    several = ", ".join(tensors)
    raise InputError(f"{network}: returns {what}; name one of them with --output: {several}")


def _tensors(returned: Any) -> dict[str, Tensor]:
    members: dict[str, Any] = {}
    if isinstance(returned, Mapping):
        members = {str(key): value for key, value in returned.items()}
    elif is_dataclass(returned):
        members = {field.name: getattr(returned, field.name) for field in fields(returned)}
    elif isinstance(returned, tuple | list):
        names = getattr(returned, "_fields", map(str, range(len(returned))))
        members = dict(zip(names, returned, strict=True))
    return {name: value for name, value in members.items() if isinstance(value, Tensor)}
