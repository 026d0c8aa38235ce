"""The JSON document: strict, ASCII, and the same bits for the same inputs apart from provenance."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netdistance import demo
from netdistance.quantities import Exact, Skipped
from netdistance.report.document import (
    PairingAccount,
    Report,
    RunRow,
    TensorRow,
    Verdict,
    to_document,
)
from netdistance.report.json import render_json
from netdistance.studies.compare import CompareOptions, compare
from tests.formats.written import safetensors

CONTRACT = {
    "schema_version": int,
    "study": str,
    "provenance": dict,
    "pairing": dict,
    "tensors": list,
    "bounds": list,
    "verdict": dict,
}
KINDS = {
    "exact": {"kind", "value"},
    "interval": {"kind", "lower", "upper", "confidence"},
    "estimate": {"kind", "value", "stderr"},
    "skipped": {"kind", "reason"},
}


def breaches(document: dict[str, Any]) -> list[str]:
    """Where a compare report departs from the contract that scripts rely on."""
    found = [key for key, kind in CONTRACT.items() if not isinstance(document.get(key), kind)]
    found += [key for key in document if key not in CONTRACT]
    for row in document.get("tensors", []):
        wanted = {"name", "shape", "encoding_a", "encoding_b", "layer", "metrics"}
        found += [row["name"]] if row.keys() != wanted else []
        found += [name for name, q in row["metrics"].items() if not _is_quantity(q)]
    for bound in document.get("bounds", []):
        found += [key for key in ("value", "measured") if not _is_quantity(bound[key])]
        found += [] if bound["standing"] in ("certified", "estimated", "modelled") else ["standing"]
    return found


def _is_quantity(value: Any) -> bool:
    return isinstance(value, dict) and KINDS.get(value.get("kind", "")) == value.keys()


def demo_document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render_json(compare(demo.TRAINED, demo.ROUNDED)))
    return document


def test_a_report_keeps_the_contract() -> None:
    assert breaches(demo_document()) == []


def test_planted_breaches_are_found() -> None:
    document = demo_document()
    document["tensors"][0]["metrics"]["max_abs"] = 0.5
    document["tensors"][1]["metrics"]["max_abs"] = {"kind": "exact", "value": 1.0, "unit": "m"}
    document["bounds"][0]["standing"] = "proved"
    del document["verdict"]
    document["more"] = 1
    assert breaches(document) == ["verdict", "more", "max_abs", "max_abs", "standing"]


def report(**changes: Any) -> Report:
    fields = {"study": "compare", "provenance": {}, "verdict": Verdict("text")}
    return Report(**{**fields, **changes})


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_say_is_an_error(bad: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        render_json(report(provenance={"x": [bad]}))
    run = RunRow("t", "o", 0.1, 1, 1, 0, "diverged", {"train_loss": bad}, Skipped("diverged"))
    with pytest.raises(ValueError, match="JSON"):
        render_json(report(runs=(run,)))


def test_any_name_survives_as_ascii() -> None:
    names = ["\x1b[31m", "\ud800", "\u202e", "層", "", "a\x00b", "</script>"]
    rows = tuple(TensorRow(n, (1,), None, None, n, {"m": Exact(0.1)}) for n in names)
    rendered = render_json(report(tensors=rows))
    assert all(byte >= 32 or byte == 10 for byte in rendered)
    assert [row["name"] for row in json.loads(rendered)["tensors"]] == names


def test_numbers_come_back_to_the_last_bit() -> None:
    values = [0.1, 5e-324, 1.7976931348623157e308, -0.0, 2 / 3]
    rows = tuple(TensorRow("w", (), None, None, "w", {"m": Exact(v)}) for v in values)
    document = json.loads(render_json(report(tensors=rows)))
    found = [row["metrics"]["m"]["value"] for row in document["tensors"]]
    assert [value.hex() for value in found] == [value.hex() for value in values]


def test_sections_that_a_study_lacks_are_left_out() -> None:
    document = to_document(report(pairing=PairingAccount(1, 0)))
    assert not {"deviation", "path", "sweep", "runs", "reference_accuracy"} & document.keys()
    assert document["pairing"]["only_a"] == []


def test_only_provenance_differs_between_two_runs(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    state = {f"{i}.weight": generator.standard_normal((9, 9)) for i in range(12)}
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a").write_bytes(safetensors(state))
        moved = {name: value * 1.25 for name, value in reversed(state.items())}
        (tmp_path / place / "b").write_bytes(safetensors(moved, note=place))
    documents = [
        json.loads(render_json(compare(tmp_path / p / "a", tmp_path / p / "b", options)))
        for p, options in (("one", CompareOptions()), ("two", CompareOptions(threads=3, seed=9)))
    ]
    provenances = [document.pop("provenance") for document in documents]
    assert documents[0] == documents[1]
    assert json.dumps(documents[0]) == json.dumps(documents[1])
    assert provenances[0] != provenances[1]
    assert provenances[1]["settings"]["threads"] == 3
    assert [Path(file["path"]).name for file in provenances[0]["files"]] == ["a", "b"]
