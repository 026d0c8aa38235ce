"""The report as a person reads it in a terminal: the verdict first, 80 columns, the worst first."""

from __future__ import annotations

from collections.abc import Callable

from netdistance.report.audit_text import audit_lines
from netdistance.report.compare_text import compare_lines
from netdistance.report.document import Report
from netdistance.report.frontier_text import frontier_lines
from netdistance.report.gradients_text import gradients_lines
from netdistance.report.layers import Grouping
from netdistance.report.layout import Lines, paragraph
from netdistance.report.perturb_text import perturb_lines
from netdistance.report.sensitivity_text import sensitivity_lines
from netdistance.report.train_text import train_lines
from netdistance.report.width_text import width_lines
from netdistance.report.wording import names

_BODIES: dict[str, Callable[[Report, bool], Lines]] = {
    "audit": audit_lines,
    "gradients": gradients_lines,
    "perturb": perturb_lines,
    "sensitivity": sensitivity_lines,
    "simulate": frontier_lines,
    "train": train_lines,
    "width": width_lines,
}


def render_text(report: Report, *, everything: bool = False, grouping: Grouping = "layers") -> str:
    """The report in 80 columns; `everything` shows all rows where a table would be cut.

    `grouping` is what a row of compare's table is.
    """
    lines = paragraph(report.verdict.text)
    if report.study == "compare":
        lines += compare_lines(report, everything, grouping)
    else:
        lines += _BODIES[report.study](report, everything)
    lines += _thresholds(report)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _thresholds(report: Report) -> Lines:
    lines: Lines = []
    for threshold in report.verdict.thresholds:
        failed = f"failed by {len(threshold.failures):,}: {names(threshold.failures)}"
        outcome = "passed" if threshold.passed else failed
        lines += paragraph(f"threshold {threshold.expression}: {outcome}", indent="  ")
    return lines
