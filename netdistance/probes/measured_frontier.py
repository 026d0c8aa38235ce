"""Points of a frontier, each measured once, and what is left of a budget used up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from netdistance.compression.frontier import AS_IT_IS, Assignment, Frontier
from netdistance.quantities import Estimate, Exact, Quantity, point
from netdistance.report.audit_rows import FrontierRow

# how often what is left of a budget is used up; each takes a measurement
FILLS = 4


@dataclass(slots=True)
class MeasuredFrontier:
    """Assignments that were measured, each once."""

    deviation: Callable[[Assignment], Quantity]
    frontier: Frontier
    budget: float | None
    rows: dict[frozenset[tuple[str, str]], FrontierRow] = field(default_factory=dict)

    def row(self, assignment: Assignment) -> FrontierRow:
        """The row of an assignment, measured where it was not."""
        key = frozenset(assignment.items())
        if key not in self.rows:
            as_it_is = set(assignment.values()) == {AS_IT_IS}
            deviation = Exact(0.0) if as_it_is else self.deviation(assignment)
            value = point(deviation)
            self.rows[key] = FrontierRow(
                bits_per_weight=self.frontier.bits_per_weight(assignment),
                deviation=deviation,
                predicted=Estimate(self.frontier.predicted(assignment), 0.0),
                assignment=dict(assignment),
                meets_budget=None
                if self.budget is None
                else value is not None and value <= self.budget,
            )
        return self.rows[key]

    def meets(self, assignment: Assignment) -> bool:
        """Whether an assignment was measured to meet the budget."""
        return bool(self.row(assignment).meets_budget)

    def fill(self, assignment: Assignment, budget: float) -> None:
        """Use what an assignment leaves of the budget: smaller layers that still fit in."""
        row, share = self.row(assignment), 1.0
        for _ in range(FILLS):
            predicted, value = point(row.predicted), point(row.deviation)
            if not (predicted and value):
                return
            # as far off as the prediction is here, it is likely to be nearby
            limit = share * budget * predicted / value
            smaller = self.frontier.smaller(row.assignment, limit)
            if smaller is None:
                return
            if self.meets(smaller):
                row = self.row(smaller)
            else:
                share *= 0.95
