"""`--fail-if 'relative_frobenius>0.1'`: thresholds on any number of the report."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args

from netdistance.errors import UsageError
from netdistance.quantities import Exact, Interval, Quantity, Skipped, point
from netdistance.report.audit_rows import AuditVerdict
from netdistance.report.document import PairingAccount, Report, Threshold

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_EXPRESSION = re.compile(r"\s*(\w+)\s*(>=|<=|>|<)\s*([-+.\deE]+)\s*")

# what each threshold is judged on: (where it stands, its value)
Values = Mapping[str, Sequence[tuple[str, Quantity]]]


@dataclass(frozen=True, slots=True)
class Condition:
    """A parsed expression: the run fails where a value of `metric` meets it."""

    expression: str
    metric: str
    symbol: str
    limit: float

    @classmethod
    def parse(cls, expression: str) -> Condition:
        """Read `METRIC>NUMBER`. Raises UsageError where it is anything else."""
        found = _EXPRESSION.fullmatch(expression)
        try:
            if found is None:
                raise ValueError
            limit = float(found[3])
            if not math.isfinite(limit):
                raise ValueError
            return cls(expression, found[1], found[2], limit)
        except ValueError:
            raise UsageError(
                f"cannot read the threshold {expression!r}; write METRIC>NUMBER, "
                "such as 'relative_frobenius>0.1'"
            ) from None

    def judge(self, values: Values) -> Threshold:
        """The threshold with the places that fail it; a value that was skipped fails.

        Raises:
            UsageError: the report has no number of that name.
        """
        if self.metric not in values:
            known = ", ".join(sorted(values))
            raise UsageError(f"no number is called {self.metric!r}; this report has {known}")
        failures = tuple(where for where, value in values[self.metric] if self._fails(value))
        return Threshold(self.expression, not failures, failures)

    def _fails(self, value: Quantity) -> bool:
        compare = _OPERATORS[self.symbol]
        match value:
            case Skipped("identical") if self.metric == "sqnr_db":
                # it is infinite
                return compare(float("inf"), self.limit)
            case Interval(lower, upper, _):
                return compare(lower, self.limit) or compare(upper, self.limit)
        number = point(value)
        return number is None or compare(number, self.limit)


def report_values(report: Report) -> dict[str, list[tuple[str, Quantity]]]:
    """Every number that a threshold can name, and where it stands.

    Tensor metrics by name; bounds and measured deviations by theirs; of an audit, every number of
    its rows by its field.
    """
    values: dict[str, list[tuple[str, Quantity]]] = {}
    for tensor in report.tensors:
        for metric, value in tensor.metrics.items():
            values.setdefault(metric, []).append((tensor.name, value))
    for bound in report.bounds:
        values.setdefault(bound.name, []).append((bound.name, bound.value))
    for row in report.deviation or ():
        values.setdefault(row.measure, []).append((row.measure, row.value))
    # where no layer moved or none is worth keeping, there is none of these that could fail
    values |= {"floor": []} if report.study == "audit" else {}
    values |= {"gain": [], "deviation": []} if report.keep is not None else {}
    for where, name, value in _audit_values(report):
        values.setdefault(name, []).append((where, value))
    for place in report.frontier or ():
        if place.chosen:  # what was not chosen is no failure
            values["relative_output_deviation"] = [("what was chosen", place.deviation)]
            values["bits_per_weight"] = [("what was chosen", Exact(place.bits_per_weight))]
    return values


def _audit_values(report: Report) -> Iterator[tuple[str, str, Quantity]]:
    """Where each number of an audit stands, its field's name, and it."""
    rows: list[tuple[str, Any]] = [(row.layer, row) for row in report.audit or ()]
    rows += [(f"keeping {row.layer}", row) for row in report.keep or ()]
    rows += [(f"{row.bits_per_weight:.3g} bits a weight", row) for row in report.frontier or ()]
    rows += [(row.layer, row) for row in report.adapter or ()]
    for where, row in rows:
        for field in fields(row):
            value = getattr(row, field.name)
            if isinstance(value, float):
                value = Exact(value)
            elif field.name == "bits_per_weight" and value is None:
                value = Skipped("no weight is stored")
            if isinstance(value, get_args(Quantity)):
                yield where, field.name, value


def judge(
    report: Report, conditions: Sequence[Condition], *, require_all: bool
) -> tuple[Threshold, ...]:
    """Every threshold that was asked for, judged on the report."""
    judged = [condition.judge(report_values(report)) for condition in conditions]
    if require_all and report.pairing is not None:
        judged.append(_require_all(report.pairing))
    return tuple(judged)


# from the least to the worst; a layer that could not be judged passes no gate
_WORSE = ("lossless", "rounding", "more_than_rounding", "broken")


def judge_verdicts(report: Report, words: Sequence[AuditVerdict]) -> tuple[Threshold, ...]:
    """A threshold for each verdict that must not be: it or worse fails, and what was not judged.

    `not_compared` fails by itself alone.
    """
    return tuple(
        Threshold(
            f"--fail-on {word}",
            not (
                failures := tuple(
                    row.layer for row in report.audit or () if _reaches(row.verdict, word)
                )
            ),
            failures,
        )
        for word in words
    )


def _reaches(verdict: AuditVerdict, word: AuditVerdict) -> bool:
    if verdict == "not_compared" or word == "not_compared":
        return verdict == "not_compared"
    return _WORSE.index(verdict) >= _WORSE.index(word)


def _require_all(pairing: PairingAccount) -> Threshold:
    """The threshold that any unmatched, reshaped, skipped, non-finite or ambiguous tensor fails."""
    failures = (
        *pairing.only_a,
        *pairing.only_b,
        *(row.name for row in pairing.reshaped),
        *(row.name for row in pairing.skipped),
        *(row.name for row in pairing.ambiguous or ()),
    )
    return Threshold("--require-all", not failures, tuple(dict.fromkeys(failures)))
