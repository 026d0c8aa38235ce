"""`--fail-if 'relative_frobenius>0.1'`: thresholds on any number of the report."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from netdistance.errors import UsageError
from netdistance.quantities import Exact, Interval, Quantity, Skipped, point
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

    Tensor metrics by name; bounds and measured deviations by theirs.
    """
    values: dict[str, list[tuple[str, Quantity]]] = {}
    for tensor in report.tensors:
        for metric, value in tensor.metrics.items():
            values.setdefault(metric, []).append((tensor.name, value))
    for bound in report.bounds:
        values.setdefault(bound.name, []).append((bound.name, bound.value))
    for row in report.deviation or ():
        values.setdefault(row.measure, []).append((row.measure, row.value))
    for place in report.frontier or ():
        if place.chosen:
            values["relative_output_deviation"] = [("what was chosen", place.deviation)]
            values["bits_per_weight"] = [("what was chosen", Exact(place.bits_per_weight))]
    return values


def judge(
    report: Report, conditions: Sequence[Condition], *, require_all: bool
) -> tuple[Threshold, ...]:
    """Every threshold that was asked for, judged on the report."""
    judged = [condition.judge(report_values(report)) for condition in conditions]
    if require_all and report.pairing is not None:
        judged.append(_require_all(report.pairing))
    return tuple(judged)


def _require_all(pairing: PairingAccount) -> Threshold:
    """The threshold that any unmatched, reshaped, skipped or non-finite tensor fails."""
    failures = (
        *pairing.only_a,
        *pairing.only_b,
        *(row.name for row in pairing.reshaped),
        *(row.name for row in pairing.skipped),
    )
    return Threshold("--require-all", not failures, failures)
