"""A paragraph that reads a comparison's table to someone who sees it for the first time."""

from __future__ import annotations

from netdistance.quantities import point
from netdistance.report.document import Report, TensorRow
from netdistance.report.wording import count, percent


def read_comparison(report: Report) -> str:
    """What the columns mean, said with this report's own numbers. It compared some weights."""
    moved = sorted((r for r in report.tensors if _change(r) > 0.0), key=_change)
    still = len(report.tensors) - len(moved)
    heaviest = max(report.tensors, key=_share)
    (trust,) = (row for row in report.bounds if row.name == "deep_relative_trust")
    amount = point(trust.value)
    text = (
        f"How to read it: {count(len(moved), 'tensor')} moved, by {percent(_change(moved[0]))} to "
        f"{percent(_change(moved[-1]))} of their size, and {still:,} did not. "
        "The change of a tensor is the size of the difference over its own size, "
        "|b - a| / |a|. "
    )
    if amount is not None:
        text += (
            f"Multiplied over the weights these changes make {percent(amount)}, deep relative "
            f"trust, of which {heaviest.name} spends {percent(_share(heaviest))}. It is a model of "
            "how far the outputs may move, not a bound: the outputs can move further. "
        )
    return text + "To know what they do, measure them: the first command below does."


def _change(row: TensorRow) -> float:
    return point(row.metrics["relative_frobenius"]) or 0.0


def _share(row: TensorRow) -> float:
    return (point(row.metrics["trust_share"]) or 0.0) if "trust_share" in row.metrics else 0.0
