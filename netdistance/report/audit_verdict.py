"""The first line of an audit: how many layers are damaged, and what keeping some would do."""

from __future__ import annotations

import os
from collections.abc import Sequence

from netdistance.quantities import point
from netdistance.report.adapter_text import adapter_verdict
from netdistance.report.audit_rows import AuditRow
from netdistance.report.document import Report
from netdistance.report.verdicts import (
    all_identical,
    is_same,
    not_covered,
    synthetic_note,
    titles_of,
)
from netdistance.report.wording import count, names, percent

DAMAGED = ("more_than_rounding", "broken")
# what leaves so much of the deviation is said to halve it
_HALF = (0.45, 0.55)
_COMMON = {"BF16": "bf16", "F16": "fp16", "F32": "float32", "F64": "float64"}


def audit_verdict(report: Report, a: str | os.PathLike[str], b: str | os.PathLike[str]) -> str:
    """What compressing a to b did: the damaged layers, the outputs, and what is not covered."""
    assert report.pairing is not None
    name_a, name_b = titles_of(a, b)
    same = f"{name_a} was audited against itself, the same file" if is_same(a, b) else ""
    if same and report.adapter is None and all_identical(report.pairing):
        return f"{same}: every layer is lossless."
    rows = report.audit or ()
    damaged = [row for row in rows if row.verdict in DAMAGED]
    text = _damage(damaged, rows) if damaged else _no_damage(report, rows, name_a, name_b)
    text += _kept(report, damaged) + "."
    open_rows = [row for row in rows if row.verdict == "not_compared"]
    if open_rows:
        layers = count(len(open_rows), "layer")
        text += f" Not judged: {layers} ({names([row.layer for row in open_rows])})."
    if report.adapter is not None:
        text = f"{adapter_verdict(report.adapter)} Against {name_a} with it added: {text}"
    text = f"{same}. {text}" if same else text
    return text + synthetic_note(report) + not_covered(report.pairing)


def rounding_words(formats: Sequence[str | None]) -> str:
    """The rounding that layers are held against, in words.

    >>> rounding_words(["int4", "int4"]), rounding_words(["bf16"]), rounding_words(["int4", "fp8"])
    ('4-bit rounding', 'bf16 rounding', 'rounding')
    """
    known = {name for name in formats if name}
    if len(known) != 1:
        return "rounding"
    name = known.pop()
    return (
        f"{name.removeprefix('int')}-bit rounding"
        if name.startswith("int")
        else (f"{name} rounding")
    )


def stored_words(encoding: str | None) -> str:
    """A type as people call it: bf16 for BF16."""
    return _COMMON.get(encoding or "", encoding or "its own precision")


def _damage(damaged: Sequence[AuditRow], rows: Sequence[AuditRow]) -> str:
    broken = [row for row in damaged if row.verdict == "broken"]
    of_all = f"{len(damaged):,} of {count(len(rows), 'layer')}"
    verb = "is" if len(damaged) == 1 else "are"
    if len(broken) == len(damaged):
        return f"{of_all} {verb} broken ({names([row.layer for row in broken])})"
    whose = "its" if len(damaged) == 1 else "their"
    words = rounding_words([row.rounding_of for row in damaged])
    text = f"{of_all} {verb} damaged beyond {whose} {words}"
    return f"{text}, {len(broken):,} of them broken" if broken else text


def _no_damage(report: Report, rows: Sequence[AuditRow], name_a: str, name_b: str) -> str:
    assert report.pairing is not None
    moved = [row for row in rows if row.verdict == "rounding"]
    if moved:
        words = rounding_words([row.rounding_of for row in moved])
        still = sum(row.verdict == "lossless" for row in rows)
        rest = f", {still:,} lossless" if still else ""
        layers = count(len(moved), "layer")
        return f"{name_b} is {name_a} within {words}: {layers} moved no more than that{rest}"
    far = [d for row in rows if row.verdict == "not_compared" and (d := point(row.distance))]
    if far:
        layers = count(len(far), "layer")
        return f"{name_b} could not be judged: {layers} moved, by up to {percent(max(far))}"
    if not report.pairing.compared or not any(row.verdict == "lossless" for row in rows):
        return f"{name_b} could not be judged against {name_a}: no layer has a verdict"
    other = sorted(
        {
            f"{stored_words(row.encoding_b)} instead of {stored_words(row.encoding_a)}"
            for row in report.tensors
            if row.encoding_a != row.encoding_b
        }
    )
    stored = f", stored as {names(other, most=2)}" if other else ""
    # where something is not compared, "the same" would be said of what nobody looked at
    if any(row.verdict == "not_compared" for row in rows):
        return f"What could be compared of {name_b} holds the values of {name_a}{stored}"
    return (
        f"{name_b} holds exactly the weights of {name_a}{stored}: every value of "
        f"{count(len(rows), 'layer')} is identical"
    )


def _kept(report: Report, damaged: Sequence[AuditRow]) -> str:
    """What keeping layers does to the outputs, as far as it was measured."""
    rows = report.deviation or ()
    moved = [row.value for row in rows if row.measure == "relative_output_deviation"]
    before = point(moved[0]) if moved else None
    if before is None:
        return ""
    kept = report.keep or ()
    after = point(kept[-1].deviation) if kept else None
    if after is None:
        return f"; the outputs move by {percent(before)} on average"
    which = {row.layer for row in damaged}
    those = {row.layer for row in kept}
    high = stored_words(
        next((row.encoding_a for row in report.tensors if row.layer == kept[0].layer), None)
    )
    if those == which:
        what = f"keeping {'it' if len(those) == 1 else 'them'} in {high}"
    else:
        what = f"keeping {count(len(kept), 'layer')} in {high}"
    would = "halve" if _HALF[0] <= after / before <= _HALF[1] else "lower"
    return (
        f"; {what} would {would} the output deviation (measured: {percent(before)} -> "
        f"{percent(after)})"
    )
