"""The line of the frontier: measured places that nothing of their size or below beats."""

from __future__ import annotations

from netdistance.quantities import Estimate, Skipped
from netdistance.report.audit_rows import FrontierRow
from netdistance.report.frontier_figure import undominated


def test_what_something_smaller_beats_is_not_on_the_frontier() -> None:
    measured = [(8.0, 0.044), (4.5, 0.15), (8.03, 0.017), (9.4, 0.01), (17.0, 0.04), (4.3, 0.14)]
    rows = [
        FrontierRow(size, Estimate(moved, 0.0), Skipped("none"), {"0": "int8"})
        for size, moved in measured
    ]
    assert undominated(rows) == [(4.3, 0.14), (8.0, 0.044), (8.03, 0.017), (9.4, 0.01)]
    assert undominated([]) == []
