"""A saved report read back: strict, and generic over the dataclasses of `document.py`.

A field that is added there is read here without a line of code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from netdistance.errors import InputError
from netdistance.quantities import Quantity
from netdistance.report.document import SCHEMA_VERSION, Report

QUANTITY_KINDS: dict[str, type] = {cls.__name__.lower(): cls for cls in get_args(Quantity)}

_WORDS: dict[type, str] = {
    str: "a string",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    NoneType: "null",
}


def read_report(content: bytes, source: object) -> Report:
    """The report in the bytes of a JSON document; `source` is what an error calls it.

    Raises:
        InputError: it is no strict JSON, or no report of this version; the place is named.
    """
    try:
        # -sig: some shells begin a redirected file with a byte order mark
        text = content.decode("utf-8-sig")
        document = json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: is no strict JSON: {error}; give a saved report") from error
    try:
        return report_from_document(document)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def report_from_document(document: Any) -> Report:
    """The report that `to_document` turned into this document.

    Raises:
        InputError: another schema_version, a missing or unknown key, or a value of a wrong kind.
    """
    if not isinstance(document, dict) or "schema_version" not in document:
        raise InputError("has no schema_version; give a report that --json wrote")
    version = document["schema_version"]
    if type(version) is not int or version != SCHEMA_VERSION:
        raise InputError(
            f"schema_version is {_shown(version)}, expected {SCHEMA_VERSION}; use the version of "
            "netdistance that wrote it"
        )
    report = read_value(document, Report, "report")
    assert isinstance(report, Report)
    return report


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return members


@cache
def hints_of(cls: type) -> dict[str, Any]:
    """The types of a dataclass's fields, resolved."""
    return get_type_hints(cls)


def union_members(hint: Any) -> tuple[Any, ...]:
    """The members of a union; a type that is none is its own only member."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def read_value(value: Any, hint: Any, place: str) -> Any:
    """The value of a JSON document as the type that a field declares.

    Raises:
        InputError: it is of another kind; `place` is named.
    """
    if hint is Any:
        return value
    members = union_members(hint)
    if len(members) > 1:
        return _read_union(value, members, place)
    origin = get_origin(hint)
    if origin is Literal:
        return _literal(value, get_args(hint), place)
    if origin is tuple:
        _expect(isinstance(value, list), value, "an array", place)
        of = get_args(hint)[0]
        return tuple(read_value(item, of, f"{place}[{i}]") for i, item in enumerate(value))
    if origin is not None and issubclass(origin, Mapping):
        _expect(isinstance(value, dict), value, "an object", place)
        of = get_args(hint)[1]
        return {key: read_value(item, of, f"{place}.{key[:80]}") for key, item in value.items()}
    if is_dataclass(hint):
        return _dataclass(value, hint, place)
    return _scalar(value, hint, place)


def _read_union(value: Any, members: tuple[Any, ...], place: str) -> Any:
    if value is None and NoneType in members:
        return None
    rest = [member for member in members if member is not NoneType]
    if len(rest) == 1:
        return read_value(value, rest[0], place)
    _expect(set(rest) == set(QUANTITY_KINDS.values()), value, "a number of known kind", place)
    _expect(isinstance(value, dict), value, 'an object with "kind"', place)
    kind = value.get("kind")
    cls = QUANTITY_KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        known = ", ".join(QUANTITY_KINDS)
        raise InputError(f"{place}: kind is {_shown(kind)}, expected one of {known}")
    return _dataclass({key: item for key, item in value.items() if key != "kind"}, cls, place)


def _dataclass(value: Any, cls: Any, place: str) -> Any:
    _expect(isinstance(value, dict), value, "an object", place)
    hints = hints_of(cls)
    unknown = sorted(value.keys() - hints.keys())
    if unknown:
        raise InputError(f"{place}: unknown key {_shown(unknown[0])}")
    arguments = {}
    for field in fields(cls):
        if field.name in value:
            arguments[field.name] = read_value(
                value[field.name], _present(field, hints), f"{place}.{field.name}"
            )
        elif not field.metadata.get("optional"):
            raise InputError(f"{place}: the key {field.name!r} is missing")
    try:
        return cls(**arguments)
    except ValueError as error:  # such as an interval with crossed ends
        raise InputError(f"{place}: {error}") from error


def _present(field: Any, hints: Mapping[str, Any]) -> Any:
    """The type of a field that is there: an optional one is left out rather than null."""
    hint = hints[field.name]
    if not field.metadata.get("optional"):
        return hint
    return Union[tuple(m for m in union_members(hint) if m is not NoneType)]  # noqa: UP007


def _literal(value: Any, allowed: tuple[Any, ...], place: str) -> Any:
    if not isinstance(value, str) or value not in allowed:
        known = ", ".join(map(repr, allowed))
        raise InputError(f"{place}: is {_shown(value)}, expected one of {known}")
    return value


def _scalar(value: Any, cls: type, place: str) -> Any:
    if cls is float:
        return _finite(value, place)
    # bool is an int to Python, not to JSON
    _expect(type(value) is cls, value, _WORDS.get(cls, cls.__name__), place)
    return value


def _finite(value: Any, place: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    _expect(number, value, _WORDS[float], place)
    try:
        converted = float(value)
    except OverflowError:  # a whole number beyond float64
        converted = math.inf
    _expect(math.isfinite(converted), value, _WORDS[float], place)
    return converted


def _expect(holds: bool, value: Any, what: str, place: str) -> None:
    if not holds:
        raise InputError(f"{place}: is {_shown(value)}, expected {what}")


def _shown(value: Any) -> str:
    """The value in a few words, as an error quotes it."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    return json.dumps(value)[:80] if not isinstance(value, int) or abs(value) < 1 << 64 else "huge"
