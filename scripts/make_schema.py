"""Write docs/reference/report.schema.json, the JSON Schema of a report, from its dataclasses.

python scripts/make_schema.py
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from netdistance.report.document import SCHEMA_VERSION, Report
from netdistance.report.from_json import QUANTITY_KINDS, hints_of, union_members

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "report.schema.json"
_SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
    Any: {},
}


def report_schema() -> dict[str, Any]:
    """The schema: one definition for each dataclass, with its docstring's first line."""
    definitions: dict[str, Any] = {}
    root = _dataclass(Report, definitions)
    root["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "netdistance report",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def schema_text() -> str:
    """The schema as it stands in the file."""
    return json.dumps(report_schema(), indent=1, ensure_ascii=False) + "\n"


def _schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; definitions that it needs are added."""
    members = union_members(hint)
    if len(members) > 1:
        return _union(set(members), definitions)
    if hint in _SCALARS:
        return dict(_SCALARS[hint])
    origin = get_origin(hint)
    if origin is Literal:
        return {"enum": list(get_args(hint))}
    if origin is tuple:
        return {"type": "array", "items": _schema(get_args(hint)[0], definitions)}
    if origin is not None and issubclass(origin, Mapping):
        of = _schema(get_args(hint)[1], definitions)
        return {"type": "object", **({"additionalProperties": of} if of else {})}
    assert is_dataclass(hint) and isinstance(hint, type), hint
    if hint.__name__ not in definitions:
        definitions[hint.__name__] = {}  # a place of its own, should it refer to itself
        definitions[hint.__name__] = _dataclass(hint, definitions)
    return {"$ref": f"#/$defs/{hint.__name__}"}


def _union(members: set[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    choices = []
    if set(QUANTITY_KINDS.values()) <= members:
        members = members - set(QUANTITY_KINDS.values())
        kinds = [_kind(kind, cls, definitions) for kind, cls in QUANTITY_KINDS.items()]
        what = "A number that says how it is known."
        definitions["Quantity"] = {"description": what, "oneOf": kinds}
        choices.append({"$ref": "#/$defs/Quantity"})
    choices += [_schema(member, definitions) for member in sorted(members, key=str)]
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _kind(kind: str, cls: type, definitions: dict[str, Any]) -> dict[str, Any]:
    schema = _dataclass(cls, definitions)
    schema["properties"] = {"kind": {"const": kind}, **schema["properties"]}
    schema["required"] = ["kind", *schema["required"]]
    return schema


def _dataclass(cls: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = hints_of(cls)
    properties = {}
    for field in fields(cls):
        members = union_members(hints[field.name])
        if field.metadata.get("optional"):  # left out rather than null
            members = tuple(member for member in members if member is not NoneType)
        one = len(members) == 1
        properties[field.name] = (
            _schema(members[0], definitions) if one else _union(set(members), definitions)
        )
    return {
        "description": (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " "),
        "type": "object",
        "properties": properties,
        "required": [f.name for f in fields(cls) if not f.metadata.get("optional")],
        "additionalProperties": False,
    }


if __name__ == "__main__":
    PAGE.write_text(schema_text(), encoding="utf-8")
