"""The part of simulate that mixes schemes: points of the frontier, measured, and the cheapest."""

from __future__ import annotations

from dataclasses import replace

from netdistance.checkpoints import Checkpoint
from netdistance.compression.frontier import AS_IT_IS, Assignment
from netdistance.compression.search import cheapest_within
from netdistance.progress import Progress
from netdistance.quantities import point
from netdistance.report.audit_rows import FrontierRow
from netdistance.studies.simulate_layers import NEEDS_MODEL, Audited

# measured assignments along the frontier, both ends among them
POINTS = 10


def sizes_alone(audited: Audited) -> tuple[FrontierRow, ...]:
    """What every layer under one scheme would take; nothing was measured."""
    rows = [
        FrontierRow(audited.frontier.bits_per_weight(each), NEEDS_MODEL, NEEDS_MODEL, each)
        for each in [audited.frontier.uniform(scheme.name) for scheme in audited.schemes]
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
    # imported here: weights alone never import torch
    from netdistance.probes.compressed_outputs import Mixture
    from netdistance.probes.measured_frontier import MeasuredFrontier

    assert audited.outputs is not None
    frontier = audited.frontier
    mixture = Mixture(audited.outputs, checkpoint, audited.layers, audited.schemes)
    measured = MeasuredFrontier(mixture.deviation, frontier, budget)
    places = frontier.spaced(POINTS)
    several = [] if budget is None else [1] * max(0, len(frontier.assignments).bit_length() - 3)
    uniform = [audited.frontier.uniform(scheme.name) for scheme in audited.schemes]
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
            measured.fill(frontier.assignments[last], budget)
    return _chosen(list(measured.rows.values()), budget, audited)


def chosen_assignment(rows: tuple[FrontierRow, ...]) -> Assignment:
    """The assignment of the row that is chosen."""
    return next(row.assignment for row in rows if row.chosen)


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
        only = audited.frontier.uniform(audited.schemes[0].name)
        best = next(row for row in ordered if row.assignment == only)
    else:
        return tuple(ordered)
    return tuple(replace(row, chosen=True) if row is best else row for row in ordered)
