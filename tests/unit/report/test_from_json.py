"""A saved report comes back as it was, and anything else is refused with the place named."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from netdistance.errors import InputError, exit_code
from netdistance.quantities import Skipped
from netdistance.report.document import Report, to_document
from netdistance.report.from_json import read_report, report_from_document
from netdistance.report.json import render_json
from tests.unit.report.case_reports import CASE_REPORTS, with_model

NAMES, REPORTS = zip(*CASE_REPORTS, strict=True)
Document = dict[str, Any]


@pytest.mark.parametrize("report", REPORTS, ids=NAMES)
def test_a_report_comes_back_as_it_was(report: Report) -> None:
    assert report_from_document(to_document(report)) == report
    again = read_report(render_json(report), "r.json")
    assert again == report
    assert render_json(again) == render_json(report)


def objects(value: Any, place: str) -> Iterator[tuple[str, Document]]:
    """Every object of a document that a dataclass stands behind, with its place."""
    if isinstance(value, list):
        for index, member in enumerate(value):
            yield from objects(member, f"{place}[{index}]")
    if isinstance(value, dict):
        if not place.endswith(("metrics", "quantiles", "final")):
            yield place, value
        for key, member in value.items():
            if key != "provenance":
                yield from objects(member, f"{place}.{key}")


def one_of_each(document: Document) -> list[tuple[str, Document]]:
    """The first object of every kind of place: a report may hold hundreds of one kind."""
    found: dict[str, tuple[str, Document]] = {}
    for place, member in objects(document, "report"):
        found.setdefault(re.sub(r"\[[0-9]+\]", "[]", place), (place, member))
    return list(found.values())


@pytest.mark.parametrize("report", [REPORTS[0], REPORTS[2], REPORTS[3], REPORTS[4]])
def test_an_unknown_key_is_refused_wherever_it_stands(report: Report) -> None:
    document = to_document(report)
    places = one_of_each(document)
    assert len(places) >= 10
    for place, member in places:
        member["surprise"] = 1
        with pytest.raises(InputError) as caught:
            report_from_document(document)
        assert str(caught.value).startswith(f"{place}: unknown key"), (place, caught.value)
        del member["surprise"]
    assert report_from_document(document) == report


@pytest.mark.parametrize("report", [REPORTS[0], REPORTS[2], REPORTS[3], REPORTS[4]])
def test_a_missing_key_is_refused_wherever_it_stands(report: Report) -> None:
    optional = {"deviation", "path", "sweep", "runs", "reference_accuracy", "log10", "log1p_sum"}
    optional |= {"layers", "attribution", "worst_input"}
    document = to_document(report)
    for _, member in one_of_each(document):
        for key in [key for key in member if key not in optional]:
            kept = dict(member)
            del member[key]
            with pytest.raises(InputError, match=key):
                report_from_document(document)
            member.clear()
            member.update(kept)
    assert report_from_document(document) == report


def put(place: str, value: Any) -> Callable[[Document], None]:
    """A change of a document: `value` at the dotted place."""

    def change(document: Document) -> None:
        *way, last = [int(key) if key.isdigit() else key for key in place.split(".")]
        target: Any = document
        for key in way:
            target = target[key]
        target[last] = value

    return change


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("schema_version", 2, "schema_version is 2, expected 1"),
        ("schema_version", True, "schema_version is true"),
        ("schema_version", "1", "schema_version is"),
        ("study", 7, "report.study: is 7, expected a string"),
        ("verdict", "fine", "report.verdict: is \"fine\", expected an object"),
        ("tensors", {}, "report.tensors: is an object, expected an array"),
        ("tensors.0.shape.1", 2.5, "report.tensors[0].shape[1]: is 2.5, expected a whole number"),
        ("tensors.0.shape.1", True, "expected a whole number"),
        ("tensors.0.metrics.x", 0.5, "report.tensors[0].metrics.x: is 0.5"),
        ("tensors.0.metrics.x", {"kind": "guess"}, 'kind is "guess", expected one of exact'),
        ("tensors.0.metrics.x", {"kind": ["exact"]}, "kind is an array"),
        ("tensors.0.metrics.x", {"kind": "exact", "value": None}, "expected a finite number"),
        ("tensors.0.metrics.x", {"kind": "exact", "value": 10**400}, "is huge, expected a finite"),
        ("tensors.0.metrics.x", {"kind": "exact", "value": False}, "expected a finite number"),
        (
            "tensors.0.metrics.x",
            {"kind": "interval", "lower": 2.0, "upper": 1.0, "confidence": 1.0},
            "crossed interval",
        ),
        ("bounds.0.standing", "proved", "expected one of 'certified', 'estimated', 'modelled'"),
        ("bounds.0.standing", ["certified"], "is an array"),
        ("deviation", None, "report.deviation: is null, expected an array"),
        ("deviation.0.quantiles.0.5", None, "KeyError"),
        ("path.0.t", "0.5", "report.path[0].t"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_its_place(place: str, value: Any, words: str) -> None:
    document = copy.deepcopy(to_document(with_model()))
    if words == "KeyError":
        document["deviation"][0]["quantiles"]["0.5"] = value
        words = "report.deviation[0].quantiles.0.5: is null"
    else:
        put(place, value)(document)
    with pytest.raises(InputError) as caught:
        report_from_document(document)
    assert words in str(caught.value)
    assert exit_code(caught.value) == 3


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b'"report"',
        b"{}",
        b"{",
        b"\xff\xfe{\x00}\x00",
        b"\x00",
        b'{"schema_version": NaN}',
        b'{"schema_version": 1e999}',
        b'{"schema_version": 1, "schema_version": 1}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 5000,
    ],
)
def test_no_report_is_refused_in_one_short_line(content: bytes) -> None:
    with pytest.raises(InputError) as caught:
        read_report(content, "r.json")
    assert str(caught.value).startswith("r.json: ")
    assert len(str(caught.value)) < 300


def test_infinity_that_json_can_spell_is_refused() -> None:
    text = json.dumps(to_document(with_model())).replace("0.12,", "1e999,")
    with pytest.raises(InputError, match="expected a finite number"):
        read_report(text.encode(), "r.json")


def test_a_byte_order_mark_is_no_fault() -> None:
    report = with_model()
    assert read_report(b"\xef\xbb\xbf" + render_json(report), "r.json") == report


def test_a_planted_difference_is_found() -> None:
    document = to_document(with_model())
    document["tensors"][0]["metrics"]["sqnr_db"] = {"kind": "skipped", "reason": "other"}
    changed = report_from_document(document)
    assert changed != with_model()
    assert changed.tensors[0].metrics["sqnr_db"] == Skipped("other")
