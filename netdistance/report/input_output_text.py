"""What a person reads of how far outputs move per unit of input."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Context, Decimal

from netdistance.quantities import Exact, Interval, Skipped
from netdistance.report.document import BoundRow, InputOutput, Report
from netdistance.report.layout import Lines, paragraph, table
from netdistance.report.wording import count, plain_number

_HEADER = ("outputs per unit of input", "", "over", "standing")
# beyond it a power of ten is read more easily
_MOST_PLAIN = 1e5


def input_output_sentence(part: InputOutput, row: BoundRow) -> str:
    """The three numbers in words, or why there is none of them."""
    jacobian, certified, found = part.jacobian, certified_at_most(part, row), part.found
    if certified is None and isinstance(jacobian, Skipped) and isinstance(found, Skipped):
        return f"How far outputs move per unit of input has no number: {found.reason}."
    sentences = []
    if isinstance(jacobian, Interval):
        where = "this input" if part.inputs == 1 else f"these {part.inputs:,} inputs"
        sentences.append(
            f"At {where} small changes move the outputs by at most {_spread(part)} per unit of "
            "input"
        )
    if certified is None:
        sentences.append("nothing is certified for every two inputs")
    else:
        sentences.append(
            f"the outputs of no two inputs differ by more than {certified} per unit (certified)"
        )
    if isinstance(found, Exact):
        sentences.append(f"one pair with {_number(found.value)} was found")
    text = "; ".join(sentences)
    return f"{text[0].upper()}{text[1:]}."


def input_output_lines(report: Report) -> Lines:
    """A table of what was found, what holds near inputs, and what is proved; what was skipped."""
    if report.sensitivity is None or report.sensitivity.input_output is None:
        return []
    part, row = report.sensitivity.input_output, lipschitz_row(report)
    given = count(part.inputs, "input")
    certified = certified_at_most(part, row)
    found = _number(part.found.value) if isinstance(part.found, Exact) else "–"
    rows = [
        ("largest ratio found", found, f"{given}, and any other", "measured"),
        ("norm of the Jacobian", _spread(part), f"small changes of {given}", "measured"),
        ("input Lipschitz bound", f"≤ {certified}" if certified else "–", "every two", "certified"),
    ]
    lines = ["", *table(_HEADER, rows, left="lrll")]
    for name, value in (
        ("found", part.found), ("jacobian", part.jacobian), ("certified", part.certified)
    ):  # fmt: skip
        if isinstance(value, Skipped):
            lines += paragraph(f"{name} skipped: {value.reason}", indent="  ")
    return lines + paragraph(
        "|f(x) - f(y)| / |x - y| in l2 norms. found and Jacobian: in float64, the Jacobian by "
        "automatic differentiation."
    )


def lipschitz_row(report: Report) -> BoundRow:
    """The row of the certificate."""
    return next(row for row in report.bounds if row.name == "input_lipschitz")


def certified_at_most(part: InputOutput, row: BoundRow) -> str | None:
    """The certified constant, rounded up; None where there is none.

    >>> none = Skipped("exceeds float64")
    >>> row = BoundRow("input_lipschitz", "certified", "known", None, none, none)
    >>> certified_at_most(InputOutput(1, Interval(0.0, 38.01), none, {}, none), row)
    '38.1'
    """
    if isinstance(part.certified, Interval) and part.certified.upper < _MOST_PLAIN:
        upper = Decimal(part.certified.upper)
        return _number(float(Context(prec=3, rounding=ROUND_CEILING).create_decimal(upper)))
    if isinstance(row.log10, Interval):
        return f"10^{math.ceil(100.0 * row.log10.upper) / 100.0:.2f}"
    return None


def _spread(part: InputOutput) -> str:
    """From the smallest of the inputs' norms to the largest."""
    if not isinstance(part.jacobian, Interval):
        return "–"
    largest = _number(part.jacobian.upper)
    smallest = _number(part.jacobian_quantiles.get("0.0", part.jacobian.upper))
    return largest if smallest == largest else f"{smallest} to {largest}"


def _number(value: float) -> str:
    """Three digits, as a power of ten where it is huge."""
    if value >= _MOST_PLAIN:
        return f"10^{math.log10(value):.2f}"
    return plain_number(value, 3)
