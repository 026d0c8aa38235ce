"""The report as one long table: a row for each number, whatever it belongs to."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from netdistance.quantities import Skipped, to_json
from netdistance.report.document import Report
from netdistance.report.escape import visible
from netdistance.report.sections import Item, Number, sections_of

_FIRST = ("section", "name", "number", "kind")
_VALUES = ("value", "lower", "upper", "confidence", "stderr", "reason")
# what a spreadsheet would run as a formula
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render_csv(report: Report) -> bytes:
    """UTF-8 CSV: section, name, which number, its kind and values, then the labels of its row.

    Numbers have all their digits. A text that a spreadsheet could take for a formula begins with
    an apostrophe, and control characters are backslash escapes. What has no number (a tensor
    without a partner, a threshold) is a row without one.
    """
    sections = sections_of(report)
    labels = dict.fromkeys(label for section in sections for label in section.labels)
    labels = {label: None for label in labels if label not in (*_FIRST, *_VALUES)}
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow([*_FIRST, *_VALUES, *map(_cell, labels)])
    writer.writerow(["verdict", _cell(report.verdict.text), *[""] * (len(labels) + 8)])
    for section in sections:
        for item in section.items:
            for first, values in _numbers(section.name, item):
                cells = (*first, *(values.get(key) for key in _VALUES))
                others = (item.labels.get(label) for label in labels)
                writer.writerow([_cell(cell) for cell in (*cells, *others)])
    return target.getvalue().encode()


def _numbers(section: str, item: Item) -> Iterator[tuple[tuple[Any, ...], Mapping[str, Any]]]:
    """The first columns and the values of each number of an item, or of the item alone."""
    name = item.labels.get("name", "")
    given = {key: value for key, value in item.labels.items() if key in _VALUES}
    # the reason of a skipped number stands where that of its row would
    hidden = given.get("reason") and all(isinstance(n, Skipped) for n in item.numbers.values())
    if hidden or not item.numbers:
        yield (section, name, "", ""), given
    for number, value in item.numbers.items():
        values = given | _values(value)
        yield (section, name, number, values.pop("kind")), values


def _values(number: Number) -> dict[str, Any]:
    if number is None:
        return {"kind": "skipped", "reason": "not finite, or not defined"}
    if isinstance(number, int | float):
        return {"kind": "sample", "value": number}
    return to_json(number)


def _cell(value: Any) -> str:
    """One cell; numbers to the last bit, texts safe for a terminal and for a spreadsheet.

    >>> _cell("=HYPERLINK(1)"), _cell(-0.5), _cell((2, 3)), _cell(None), _cell(True)
    ("'=HYPERLINK(1)", '-0.5', '2 x 3', '', 'true')
    """
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case tuple():
            between = " x " if all(isinstance(member, int) for member in value) else "; "
            text = between.join(map(str, value))
        case _:
            text = str(value)
    # looked for before escaping: a tab becomes a backslash, which is no formula
    return ("'" if text.startswith(_FORMULA) else "") + visible(text)
