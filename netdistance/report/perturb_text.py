"""What a person reads of `perturb`: one row for each level, measured beside every bound."""

from __future__ import annotations

from netdistance.quantities import Skipped
from netdistance.report.bound_text import exceeded_lines
from netdistance.report.document import Report, SweepPoint
from netdistance.report.layout import Lines, paragraph, table
from netdistance.report.wording import count, percent, quantity, without_error

_HEADER = ("noise", "measured ± se", "estimated", "worst found", "certified ≤", "modelled")
_TITLES = {"weights": "noise on weights only:", "all": "noise on all parameters:"}


def perturb_lines(report: Report, everything: bool) -> Lines:
    """The body of the report, below its verdict."""
    lines: Lines = []
    sweep = report.sweep or ()
    with_accuracy = not all(isinstance(place.accuracy, Skipped) for place in sweep)
    for scope, title in _TITLES.items():
        rows = [_row(place, with_accuracy) for place in sweep if place.scope == scope]
        if rows:
            header = (*_HEADER, "top-1") if with_accuracy else _HEADER
            lines += ["", title, *table(header, rows)]
    lines += ["", *_legend(report, with_accuracy)]
    lines += exceeded_lines([row for place in sweep for row in place.bounds])
    for reason in sorted(_skipped(sweep)):
        lines += paragraph(f"certified skipped: {reason}", indent="  ")
    return lines


def _row(place: SweepPoint, with_accuracy: bool) -> tuple[str, ...]:
    bounds = {row.name: row for row in place.bounds}
    cells = (
        percent(float(place.noise)),
        quantity(place.deviation.mean),
        without_error(bounds["first_order_rms"].value),
        quantity(place.attack),
        without_error(bounds["ball_certificate"].value),
        without_error(bounds["deep_relative_trust"].value),
    )
    return (*cells, without_error(place.accuracy)) if with_accuracy else cells


def _legend(report: Report, with_accuracy: bool) -> Lines:
    settings = report.provenance["settings"]
    first = (report.sweep or ())[0]
    bounds = {row.name: row for row in first.bounds}
    text = (
        f"measured: {count(bounds['deep_relative_trust'].inputs or 0, 'input')} x "
        f"{count(settings['draws'], 'draw')}. "
        f"estimated: first order, root mean square, on {bounds['first_order_rms'].inputs} of them. "
        f"worst found and certified: for perturbations of this size, on "
        f"{bounds['ball_certificate'].inputs} of them; certified covers every one. "
        "modelled: deep relative trust, can be violated."
    )
    return paragraph(text + (" top-1: accuracy under noise." if with_accuracy else ""))


def _skipped(sweep: tuple[SweepPoint, ...]) -> set[str]:
    values = (row.value for place in sweep for row in place.bounds if row.standing == "certified")
    return {value.reason for value in values if isinstance(value, Skipped)}
