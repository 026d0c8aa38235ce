"""What a person reads of `perturb`: one row for each level, measured beside every bound."""

from __future__ import annotations

from collections.abc import Sequence

from netdistance.quantities import Interval, Skipped, point
from netdistance.report.bound_text import exceeded_lines, tightest
from netdistance.report.document import BoundRow, Report, SweepPoint
from netdistance.report.escape import shortened
from netdistance.report.layout import Lines, paragraph, table
from netdistance.report.noise_level import box_legend, is_named, label_of, size_of
from netdistance.report.wording import count, percent, plain_number, quantity, without_error

SWEEP_HEADER = ("noise", "measured ± se", "estimated", "worst found", "certified ≤", "modelled")
_TITLES = {"weights": "noise on weights only:", "all": "noise on all parameters:"}
# what has no column of its own
_BESIDE = ("first_order_worst", "spectral_trust")


def perturb_lines(report: Report, everything: bool) -> Lines:
    """The body of the report, below its verdict."""
    lines: Lines = []
    sweep = report.sweep or ()
    if not sweep:
        return [*lines, "", "no noise level was measured."]
    with_accuracy = not all(isinstance(place.accuracy, Skipped) for place in sweep)
    for scope, title in _TITLES.items():
        rows = [sweep_cells(place, with_accuracy) for place in sweep if place.scope == scope]
        if rows:
            header = (*SWEEP_HEADER, "top-1") if with_accuracy else SWEEP_HEADER
            lines += ["", _of_layers(title, report), *table(header, rows)]
            places = [place for place in sweep if place.scope == scope]
            lines += _top1_lines(places)
            lines += _worst_line(places) + _spectral_line(places)
    lines += ["", *_legend(report, with_accuracy)]
    if padding := report.provenance.get("padding"):
        lines += paragraph(str(padding), indent="  ")
    lines += exceeded_lines([row for place in sweep for row in place.bounds])
    for column, reason in sorted(_skipped(sweep)):
        lines += paragraph(f"{column} skipped: {reason}", indent="  ")
    return lines


def _of_layers(title: str, report: Report) -> str:
    """The title, with the globs of the layers that move where some were given."""
    globs = ", ".join(map(str, report.provenance["settings"].get("layers", ())))
    return f"{title[:-1]} of {shortened(globs, 40)}:" if globs else title


def sweep_cells(place: SweepPoint, with_accuracy: bool) -> tuple[str, ...]:
    """The row of a noise level, measured beside every bound."""
    bounds, certificate = {row.name: row for row in place.bounds}, tightest(place.bounds)
    cells = (
        label_of(place),
        quantity(place.deviation.mean),
        without_error(bounds["first_order_rms"].value),
        quantity(place.attack),
        "" if certificate is None else without_error(certificate.value),
        without_error(bounds["deep_relative_trust"].value),
    )
    return (*cells, without_error(place.accuracy)) if with_accuracy else cells


def _top1_lines(places: Sequence[SweepPoint]) -> Lines:
    """For how many of the covered inputs the top-1 class is proved to stay, at each level."""
    kept: list[tuple[SweepPoint, int]] = []
    covered = 0
    for place in sorted(places, key=size_of):
        row = next((row for row in place.bounds if row.top1_unchanged is not None), None)
        if row is not None and isinstance(row.top1_unchanged, Interval):
            covered = row.inputs or 0
            kept.append((place, round(row.top1_unchanged.lower * covered)))
    if not any(number for _, number in kept):
        where = f"for none of {count(covered, 'input')} at these levels"
        return paragraph(f"top-1 certified unchanged {where}.") if kept else []
    parts = [f"{number:,} at {label_of(place)}" for place, number in kept if number]
    lost = [label_of(place) for place, number in kept if not number]
    # a box of a larger size than a ball can still be certified
    beyond = not any(number for _, number in kept[-len(lost) :])
    if lost:
        where = f"{lost[0]} and beyond" if beyond and lost[1:] else " or ".join(lost)
        parts.append(f"none at {where}")
    return paragraph(
        f"top-1 certified unchanged, of {count(covered, 'input')}: {', '.join(parts)}."
    )


def _worst_line(places: Sequence[SweepPoint]) -> Lines:
    """The worst to first order, which is in proportion to the level."""
    found = _known(places, "first_order_worst")
    factors = [value / size_of(place) for place, value in found if not is_named(place)]
    parts = [f"{plain_number(factors[0], 3)} times the level"] if factors else []
    parts += [f"{percent(value)} at {label_of(place)}" for place, value in found if is_named(place)]
    text = f"estimated to first order, the worst is {', '.join(parts)}."
    return paragraph(text) if parts else []


def _spectral_line(places: Sequence[SweepPoint]) -> Lines:
    found = _known(places, "spectral_trust")
    parts = [f"{percent(value)} at {label_of(place)}" for place, value in found]
    return paragraph(f"modelled by spectral trust: {', '.join(parts)}.") if parts else []


def _known(places: Sequence[SweepPoint], name: str) -> list[tuple[SweepPoint, float]]:
    """The number of one bound at each level that has it."""
    rows = ((place, row) for place in places for row in place.bounds if row.name == name)
    return [(place, value) for place, row in rows if (value := point(row.value)) is not None]


def _legend(report: Report, with_accuracy: bool) -> Lines:
    settings = report.provenance["settings"]
    first = (report.sweep or ())[0]
    bounds, certificate = {row.name: row for row in first.bounds}, tightest(first.bounds)
    text = (
        f"measured: {count(bounds['deep_relative_trust'].inputs or 0, 'input')} x "
        f"{count(settings['draws'], 'draw')}. "
        f"estimated: first order, root mean square, on {bounds['first_order_rms'].inputs} of them. "
    )
    if certificate is not None and certificate.inputs:
        text += f"worst found: for perturbations of this size, on {certificate.inputs} of them"
        certified = not isinstance(certificate.value, Skipped)
        text += "; certified covers every one, in real arithmetic. " if certified else ". "
    text += "modelled: deep relative trust, can be violated."
    if settings.get("dtype") in ("bfloat16", "float16"):
        text += f" Noise is rounded to {settings['dtype']}: its size is the level only about."
    text += " top-1: accuracy under noise." if with_accuracy else ""
    return paragraph(f"{text} {box_legend(report.sweep or ())}".rstrip())


def _skipped(sweep: tuple[SweepPoint, ...]) -> set[tuple[str, str]]:
    """Every column that has a row without a number, with each reason."""
    columns = [("measured", place.deviation.mean) for place in sweep]
    columns += [("worst found", place.attack) for place in sweep]
    columns += [(_column(row), row.value) for place in sweep for row in place.bounds]
    return {(name, value.reason) for name, value in columns if isinstance(value, Skipped)}


def _column(row: BoundRow) -> str:
    return row.name.replace("_", " ") if row.name in _BESIDE else row.standing
