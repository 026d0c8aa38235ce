"""The published schema and reference are what the code says, and every report fits the schema."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from netdistance.report.document import Report, to_document
from netdistance.report.json import render_json
from scripts import make_reference, make_schema
from tests.unit.report.case_reports import CASE_REPORTS, with_model

NAMES, REPORTS = zip(*CASE_REPORTS, strict=True)
KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}
KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "type", "properties", "required",
    "additionalProperties", "items", "anyOf", "oneOf", "enum", "const",
}  # fmt: skip


def misfits(value: Any, schema: dict[str, Any], root: dict[str, Any], place: str = "") -> list[str]:
    """Where a value does not fit a schema: the part of JSON Schema 2020-12 that ours uses."""
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        return misfits(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, place)
    if "const" in schema or "enum" in schema:
        allowed = schema.get("enum", [schema.get("const")])
        return [] if value in allowed and not isinstance(value, bool) else [place]
    if "anyOf" in schema or "oneOf" in schema:
        of = schema.get("anyOf") or schema["oneOf"]
        fitting = sum(not misfits(value, choice, root, place) for choice in of)
        return [] if fitting and (fitting == 1 or "anyOf" in schema) else [place]
    if "type" in schema:
        kinds = KINDS[schema["type"]]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            return [place]
    if isinstance(value, list) and "items" in schema:
        return [
            x
            for i, m in enumerate(value)
            for x in misfits(m, schema["items"], root, f"{place}/{i}")
        ]
    return object_misfits(value, schema, root, place) if isinstance(value, dict) else []


def object_misfits(
    value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], place: str
) -> list[str]:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    found = [f"{place}/{key}" for key in schema.get("required", []) if key not in value]
    for key, member in value.items():
        of = properties.get(key, others)
        found += [f"{place}/{key}"] if of is False else misfits(member, of, root, f"{place}/{key}")
    return found


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(make_schema.PAGE.read_text(encoding="utf-8"))
    return loaded


def test_the_published_schema_is_up_to_date() -> None:
    stored = make_schema.PAGE.read_text(encoding="utf-8")
    assert stored == make_schema.schema_text(), "run python scripts/make_schema.py"


def test_the_command_reference_is_up_to_date() -> None:
    stored = Path(make_reference.PAGE).read_text(encoding="utf-8")
    # in a process of its own: libraries that bring click commands change how help is laid out
    script = "from scripts.make_reference import reference_page; print(reference_page(), end='')"
    made = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(make_reference.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert stored == made.stdout, "run python scripts/make_reference.py"


@pytest.mark.parametrize("report", REPORTS, ids=NAMES)
def test_every_report_fits_the_schema(report: Report, schema: dict[str, Any]) -> None:
    assert misfits(json.loads(render_json(report)), schema, schema) == []


def test_planted_misfits_are_found(schema: dict[str, Any]) -> None:
    good = to_document(with_model())
    tensor, bound = good["tensors"][0], good["bounds"][0]
    for target, key, value, place in (
        (good, "schema_version", 2, "/schema_version"),
        (good, "surprise", 1, "/surprise"),
        (good, "deviation", None, "/deviation"),
        (tensor, "name", None, "/tensors/0/name"),
        (tensor, "shape", [1.5], "/tensors/0/shape/0"),
        (tensor, "encoding_a", 3, "/tensors/0/encoding_a"),
        (tensor, "metrics", {"x": 0.5}, "/tensors/0/metrics/x"),
        (tensor, "metrics", {"x": {"kind": "exact"}}, "/tensors/0/metrics/x"),
        (bound, "standing", "proved", "/bounds/0/standing"),
        (bound, "inputs", True, "/bounds/0/inputs"),
    ):
        kept = copy.copy(target)
        target[key] = value
        assert misfits(good, schema, schema) == [place]
        target.clear()
        target.update(kept)
    del good["verdict"]
    assert misfits(good, schema, schema) == ["/verdict"]


def test_the_schema_has_every_kind_of_number(schema: dict[str, Any]) -> None:
    kinds = schema["$defs"]["Quantity"]["oneOf"]
    found = {kind["properties"]["kind"]["const"] for kind in kinds}
    assert found == {"exact", "interval", "estimate", "skipped"}
