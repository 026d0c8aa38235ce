"""What a person reads of an adapter and merged weights: what landed, and what did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from netdistance.quantities import Quantity, Skipped, point
from netdistance.report.audit_rows import AdapterRow, Landing
from netdistance.report.escape import shortened
from netdistance.report.layout import Lines, paragraph, table
from netdistance.report.wording import count, percent, stored_word, without_error

_ROWS = 12
_NAME = 30
_HEADER = ("layer", "share", "residual", "rounding", "type", "verdict")
_WORDS = {
    "landed": "landed",
    "partially": "partially",
    "not_at_all": "not at all",
    "not_compared": "not compared",
}
# the worst first
_ORDER: tuple[Landing, ...] = ("not_at_all", "partially", "not_compared", "landed")
# rounding as large as this part of the change is said
_LARGE = 0.5


def adapter_verdict(rows: Sequence[AdapterRow]) -> str:
    """One sentence: in how many of the layers the change of the adapter is."""
    counts = Counter(row.verdict for row in rows)
    if not rows:
        return "The adapter changes no tensor."
    if counts["landed"] == len(rows):
        types = " and ".join(sorted({stored_word(row.dtype) for row in rows}))
        text = f"The adapter landed in all {count(len(rows), 'layer')}, within rounding to {types}"
    elif counts["not_at_all"] == len(rows):
        text = f"The adapter did not land: it is in none of its {count(len(rows), 'layer')}"
    else:
        parts = [f"{_WORDS[key]} in {counts[key]:,}" for key in reversed(_ORDER) if counts[key]]
        text = f"Of {count(len(rows), 'layer')} the adapter landed {', '.join(parts)}"
        text = text.replace("landed landed", "landed")
    return f"{text}{_lost(rows)}."


def _lost(rows: Sequence[AdapterRow]) -> str:
    """How much of the change is left where rounding is about as large as the change."""
    worst = [row for row in rows if (point(row.rounding) or 0.0) >= _LARGE]
    if not worst:
        return ""
    shares = [share for row in worst if (share := point(row.share)) is not None]
    types = " and ".join(sorted({stored_word(row.dtype) for row in worst}))
    span = _percent(min(shares))
    if max(shares) > min(shares):
        span += f" to {_percent(max(shares))}"
    return (
        f"; in {len(worst):,} {types} is too coarse for so small a change: "
        f"its rounding is {percent(max(point(r.rounding) or 0.0 for r in worst))} of it, "
        f"and {span} of it is there"
    )


def adapter_lines(rows: Sequence[AdapterRow], everything: bool = False) -> Lines:
    """A table of the layers, the worst first, and what its columns mean."""
    ordered = sorted(rows, key=lambda row: (_ORDER.index(row.verdict), -_size(row.residual)))
    shown = ordered if everything else ordered[:_ROWS]
    if not rows:
        return []
    lines = ["", *table(_HEADER, [_cells(row) for row in shown], left="lrrrll")]
    if len(shown) < len(ordered):
        lines.append(f"(--all: {len(ordered):,} layers)".rjust(64))
    reasons = {
        value.reason: row.layer
        for row in reversed(ordered)
        for value in (row.rounding, row.share)
        if isinstance(value, Skipped)
    }
    for reason, layer in reasons.items():
        lines += paragraph(f"{shortened(layer, _NAME)} skipped: {reason}", indent="  ")
    return [*lines, "", *_legend()]


def _legend() -> Lines:
    return paragraph(
        "share: how much of the adapter's change is in merged - base. residual: what is there "
        "beside it, relative to the change. rounding: what storing base + change in the type "
        "leaves beside it; the type is the finest that explains the residual."
    )


def _cells(row: AdapterRow) -> tuple[str, ...]:
    share = point(row.share)
    return (
        row.layer or "''",
        "–" if share is None else _percent(share),
        without_error(row.residual),
        without_error(row.rounding),
        stored_word(row.dtype) if row.dtype else "–",
        _WORDS[row.verdict],
    )


def _percent(share: float) -> str:
    # a share may be negative: a change that went the other way
    return f"-{percent(-share)}" if share < 0 else percent(share)


def _size(value: Quantity) -> float:
    found = point(value)
    return -1.0 if found is None else found
