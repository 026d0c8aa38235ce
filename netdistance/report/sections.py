"""The report as flat tables, one for each section, whatever the study: nothing is left out.

A section is a list of items. An item has labels, which say what it is (a name, a shape, a noise
level), and numbers, which say how they are known. Fields that are added to `document.py` become
labels, numbers or sections of their own by their values, without a line of code here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_args

from netdistance.quantities import Estimate, Interval, Quantity, Skipped, point
from netdistance.report.document import PairingAccount, Report
from netdistance.report.optional import meaning_of_none

# a plain float is a quantile or a final of a sample; None a final that is not finite
Number = Quantity | float | None
# shown by themselves, or not a result
_APART = ("study", "provenance", "verdict", "pairing", "schema_version")


@dataclass(frozen=True, slots=True)
class Item:
    """One row: what it is, and what is known of it."""

    labels: Mapping[str, Any]
    numbers: Mapping[str, Number]


@dataclass(frozen=True, slots=True)
class Section:
    """Rows of one kind, with the names of all their labels and numbers in order."""

    name: str
    labels: tuple[str, ...]
    numbers: tuple[str, ...]
    items: tuple[Item, ...]


def sections_of(report: Report) -> list[Section]:
    """Every section of the report that has rows, the verdict's thresholds and coverage first."""
    found: dict[str, list[Item]] = {}
    for place in _verdict_and_pairing(report):
        found.setdefault(place[0], []).append(place[1])
    for field in fields(report):
        if field.name not in _APART:
            for name, item in _walk(field.name, getattr(report, field.name), {}):
                found.setdefault(name, []).append(item)
    return [_section(name, items) for name, items in found.items()]


def shown(value: Any) -> str:
    """A label or number for people: four digits, ≤ before a bound from zero, the reason of a skip.

    >>> shown(Interval(0.0, 0.123456)), shown(Estimate(0.5, 0.01)), shown((2, 3)), shown(None)
    ('≤ 0.1235', '0.5 ± 0.01', '2 x 3', '')
    """
    match value:
        case Skipped(reason):
            return f"skipped: {reason}"
        case Interval(lower, upper, confidence):
            text = f"≤ {upper:.4g}" if lower == 0.0 else f"{lower:.6g} to {upper:.6g}"
            return text if confidence == 1.0 else f"{text} (confidence {confidence:g})"
        case Estimate(number, stderr):
            return f"{number:.4g} ± {stderr:.2g}" if stderr else f"{number:.4g}"
        case tuple():
            between = " x " if all(isinstance(member, int) for member in value) else "; "
            return between.join(map(str, value))
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case None:
            return ""
    return f"{point(value):.4g}" if _is_quantity(value) else str(value)


def _section(name: str, items: Sequence[Item]) -> Section:
    labels = dict.fromkeys(label for item in items for label in item.labels)
    numbers = dict.fromkeys(number for item in items for number in item.numbers)
    return Section(name, tuple(labels), tuple(numbers), tuple(items))


def _verdict_and_pairing(report: Report) -> Iterator[tuple[str, Item]]:
    for threshold in report.verdict.thresholds:
        yield from _walk("thresholds", threshold, {})
    if report.pairing is None:
        return
    account = report.pairing
    counts = {"compared": account.compared, "identical": account.identical}
    yield "pairing", Item(counts, {})
    for field in fields(PairingAccount):
        members = getattr(account, field.name)
        for member in members if isinstance(members, tuple) else ():
            place = f"pairing.{field.name}"
            if isinstance(member, str):
                yield place, Item({"name": member}, {})
            else:
                yield from _walk(place, member, {})


def _walk(name: str, value: Any, outer: Mapping[str, Any]) -> Iterator[tuple[str, Item]]:
    """The items of a section, and of the sections inside it, which repeat its labels."""
    if value is None or value == ():
        return
    if _is_rows(value):
        for member in value:
            yield from _walk(name, member, outer)
        return
    labels, numbers = dict(outer), dict[str, Number]()
    inside: list[tuple[str, Any]] = []
    for member in _members(value, ""):
        match member:
            case _Label(key, content):
                # an inner row that has a label of the outer one keeps both
                labels[f"{name}.{key}" if key in outer else key] = content
            case _Number(key, number):
                numbers[key or "value"] = number
            case _Inside(key, rows):
                inside.append((f"{name}.{key}", rows))
    if numbers or not inside:
        yield name, Item(labels, numbers)
    for place, rows in inside:
        yield from _walk(place, rows, labels)


@dataclass(frozen=True, slots=True)
class _Label:
    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class _Number:
    key: str
    value: Number


@dataclass(frozen=True, slots=True)
class _Inside:
    key: str
    value: Any


def _members(value: Any, key: str) -> Iterator[_Label | _Number | _Inside]:
    """What a value is made of, with the names of nested fields joined by dots."""
    if _is_quantity(value):
        yield _Number(key, value)
    elif _is_rows(value):
        yield _Inside(key, value)
    elif isinstance(value, tuple) and value and _is_quantity(value[0]):
        for index, member in enumerate(value):
            yield _Number(f"{key}.{index}", member)
    elif isinstance(value, Mapping) and all(isinstance(m, str) for m in value.values()) and value:
        yield _Label(key, tuple(f"{of}: {word}" for of, word in value.items()))
    elif isinstance(value, Mapping):
        for of, number in value.items():
            # metrics and finals are called by their own names, quantiles are not
            yield _Number(f"quantile {of}" if key.endswith("quantiles") else of, number)
    elif is_dataclass(value):
        yield from _fields(value, key)
    else:
        yield _Label(key, value)


def _fields(value: Any, key: str) -> Iterator[_Label | _Number | _Inside]:
    """The members of a dataclass; a part that may be absent is no column of the rows beside it."""
    for field in fields(value):
        member, optional = getattr(value, field.name), field.metadata.get("optional")
        name = f"{key}.{field.name}" if key else field.name
        if optional and is_dataclass(member) and not _is_quantity(member):
            yield _Inside(name, member)
        elif member is not None or not optional:
            told = meaning_of_none(field.metadata) if member is None else member
            yield from _members(told, name)


def _is_quantity(value: Any) -> bool:
    return isinstance(value, get_args(Quantity))


def _is_rows(value: Any) -> bool:
    rows = isinstance(value, tuple) and value and is_dataclass(value[0])
    return bool(rows) and not _is_quantity(value[0])
