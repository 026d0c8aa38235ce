"""The part of simulate that mixes schemes: points of the frontier, measured, and the cheapest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from netdistance.checkpoints import Checkpoint
from netdistance.compression.frontier import AS_IT_IS, Assignment, Frontier
from netdistance.compression.search import cheapest_within
from netdistance.progress import Progress
from netdistance.quantities import Estimate, Exact, Quantity, point
from netdistance.report.audit_rows import FrontierRow
from netdistance.studies.simulate_layers import NEEDS_MODEL, Audited

# measured assignments along the frontier, both ends among them
POINTS = 10
# how often what is left of a budget is used up; each takes a measurement
FILLS = 4


def sizes_alone(audited: Audited) -> tuple[FrontierRow, ...]:
    """What every layer under one scheme would take; nothing was measured."""
    rows = [
        FrontierRow(audited.frontier.bits_per_weight(each), NEEDS_MODEL, NEEDS_MODEL, each)
        for each in _uniform(audited)
    ]
    return _chosen(rows, None, audited)


def frontier_rows(
    checkpoint: Checkpoint, audited: Audited, budget: float | None, progress: Progress
) -> tuple[FrontierRow, ...]:
    """Assignments, measured on all inputs, from the largest to the smallest.

    Every layer under one scheme, ten places along the frontier, and with a budget the search
    between them. The cheapest that meets it is `chosen`.

    Raises:
        CheckpointError: the file ended early or cannot be read.
    """
    from netdistance.probes.compressed_outputs import Mixture

    assert audited.outputs is not None
    frontier = audited.frontier
    mixture = Mixture(audited.outputs, checkpoint, audited.layers, audited.schemes)
    measured = _Measured(mixture.deviation, frontier, budget)
    places = frontier.spaced(POINTS)
    several = [] if budget is None else [1] * max(0, len(frontier.assignments).bit_length() - 3)
    uniform = _uniform(audited)
    total = len(places) + len(uniform) + len(several)
    with progress.task("measuring mixtures of schemes", total) as advance:
        for assignment in uniform:
            measured.row(assignment)
            advance(1)
        measured.row(dict.fromkeys(frontier.choices, AS_IT_IS))
        meets = {0: True}  # as it is, or in fewer bits without loss
        for place in places:
            meets[place] = measured.meets(frontier.assignments[place]) or place == 0
            advance(1)
        if budget is not None:

            def measure(place: int) -> bool:
                advance(1)
                return measured.meets(frontier.assignments[place])

            last = cheapest_within(meets, len(frontier.assignments), measure)
            _fill(measured, frontier.assignments[last], budget)
    return _chosen(list(measured.rows.values()), budget, audited)


def _fill(measured: _Measured, assignment: Assignment, budget: float) -> None:
    """Use what an assignment leaves of the budget: smaller layers that still fit in."""
    row, share = measured.row(assignment), 1.0
    for _ in range(FILLS):
        predicted, value = point(row.predicted), point(row.deviation)
        if not (predicted and value):
            return
        # as far off as the prediction is here, it is likely to be nearby
        limit = share * budget * predicted / value
        smaller = measured.frontier.smaller(row.assignment, limit)
        if smaller is None:
            return
        if measured.meets(smaller):
            row = measured.row(smaller)
        else:
            share *= 0.95


def chosen_assignment(rows: tuple[FrontierRow, ...]) -> Assignment:
    """The assignment of the row that is chosen."""
    return next(row.assignment for row in rows if row.chosen)


@dataclass(slots=True)
class _Measured:
    """Assignments that were measured, each once."""

    deviation: Callable[[Assignment], Quantity]
    frontier: Frontier
    budget: float | None
    rows: dict[tuple[str, ...], FrontierRow] = field(default_factory=dict)

    def row(self, assignment: Assignment) -> FrontierRow:
        key = tuple(assignment.values())
        if key not in self.rows:
            as_it_is = set(key) == {AS_IT_IS}
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
        return bool(self.row(assignment).meets_budget)


def _uniform(audited: Audited) -> list[Assignment]:
    """Every layer under one scheme, for each of them; a layer that cannot be, as it is."""
    found: list[Assignment] = []
    for scheme in audited.schemes:
        choices = audited.frontier.choices.items()
        known = {name: {choice.scheme for choice in own} for name, own in choices}
        found.append(
            {n: scheme.name if scheme.name in own else AS_IT_IS for n, own in known.items()}
        )
    return found


def _chosen(
    rows: list[FrontierRow], budget: float | None, audited: Audited
) -> tuple[FrontierRow, ...]:
    """The rows from the largest down, the cheapest that meets the budget marked.

    Without a budget a single scheme is what was chosen.
    """
    ordered = sorted(rows, key=lambda row: row.bits_per_weight, reverse=True)
    if budget is not None:
        fitting = [row for row in ordered if row.meets_budget]
        best = min(fitting, key=lambda row: (row.bits_per_weight, point(row.deviation) or 0.0))
    elif len(audited.schemes) == 1:
        only = _uniform(audited)[0]
        best = next(row for row in ordered if row.assignment == only)
    else:
        return tuple(ordered)
    return tuple(replace(row, chosen=True) if row is best else row for row in ordered)
