"""What a person reads of `width`: how far the weights may move, and how curved the loss is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from netdistance.quantities import Estimate, Exact, Interval, Quantity, Skipped, point
from netdistance.report.document import Report
from netdistance.report.escape import shortened
from netdistance.report.layout import Lines, paragraph, table
from netdistance.report.verdicts import titles_of
from netdistance.report.width_rows import EVERY_LAYER, Curvature, Directions, WidthRow
from netdistance.report.wording import count, percent, plain_number, without_error

_ROWS = 12
_HEADER = ("layer", "random", "95% interval", "of the draws", "worst found")
_HEADER_AGAINST = ("layer", "random, a", "random, b", "b / a ± se", "worst, a", "worst, b", "b / a")
# what the columns beside it leave of 80
_NAME, _NAME_AGAINST = 24, 17


def width_verdict(report: Report) -> str:
    """How much noise the minimum bears, and the least that was found to be too much."""
    rows = report.width or ()
    if report.against is not None:
        return _verdict_against(report)
    text = f"The minimum {_bears(_row(rows, 'random'))}"
    worst = _row(rows, "worst").radius
    if isinstance(worst, Exact):
        text += f"; one direction was found that bears only {percent(worst.value)}"
    return f"{text}."


def _verdict_against(report: Report) -> str:
    """Which of two minima is wider, where that can be told."""
    assert report.against is not None
    name_a, name_b = sides_of(report)
    row = next(row for row in report.against.ratio if row.directions == "random")
    ratio = row.value
    first, second = _row(report.width or (), "random"), _row(report.against.width, "random")
    if not isinstance(ratio, Estimate):
        reason = ratio.reason if isinstance(ratio, Skipped) else ""
        return f"Which is wider, {name_a} or {name_b}, has no number: {reason}."
    amounts = (
        f"bears {without_error(second.radius)} random noise where {name_a} bears "
        f"{without_error(first.radius)}, {_until(first)}"
    )
    if row.interval["lower_95"] <= 1.0 <= row.interval["upper_95"]:
        return f"The width does not tell {name_b} from {name_a}: {name_b} {amounts}."
    wider = "wider" if ratio.value > 1.0 else "narrower"
    text = f"{name_b} is {wider} than {name_a}: it {amounts}"
    worst = [_row(rows, "worst").radius for rows in (report.width or (), report.against.width)]
    if all(isinstance(radius, Exact) for radius in worst):
        found = " and ".join(percent(point(radius) or 0.0) for radius in reversed(worst))
        text += f"; directions were found that bear only {found}"
    return f"{text}."


def sides_of(report: Report) -> tuple[str, str]:
    """The files' shortest names that tell them apart; a and b where none does."""
    files = report.provenance.get("files")
    # a saved report may hold anything there
    paths = [str(file.get("path")) for file in files or () if isinstance(file, dict)]
    titles = titles_of(*paths) if len(paths) == 2 else ("a", "b")
    return titles if titles[0] != titles[1] else ("a", "b")


def _bears(row: WidthRow) -> str:
    if isinstance(row.radius, Skipped):
        return f"has no random radius: {row.radius.reason}"
    return f"bears {without_error(row.radius)} random noise in every layer {_until(row)}"


def _until(row: WidthRow) -> str:
    if row.criterion == "accuracy":
        noun = "percentage point" if row.tolerance == 0.01 else "percentage points"
        return f"before the accuracy falls by {100.0 * row.tolerance:g} {noun}"
    return f"before the loss rises by {row.tolerance:g}"


def _row(rows: Sequence[WidthRow], directions: Directions, layer: str | None = None) -> WidthRow:
    return next(row for row in rows if (row.directions, row.layer) == (directions, layer))


def width_lines(report: Report, everything: bool) -> Lines:
    """The body of the report, below its verdict."""
    rows = report.width or ()
    layers = [row.layer for row in rows if row.directions == "random" and row.layer is not None]
    layers.sort(key=lambda layer: _place(_row(rows, "random", layer).radius))
    shown = layers if everything else layers[:_ROWS]
    cells = _cells if report.against is None else _cells_against
    header = _HEADER if report.against is None else _HEADER_AGAINST
    lines = ["", *table(header, [cells(report, layer) for layer in (None, *shown)])]
    if len(shown) < len(layers):
        lines.append(f"(--all: {len(layers):,} layers)".rjust(64))
    for what, reason in _skipped(report):
        lines += paragraph(f"{what} skipped: {reason}", indent="  ")
    lines += ["", *_legend(report)]
    if report.curvature is not None:
        lines += ["", *_curvature_lines(report)]
    return lines


def _place(radius: Quantity) -> float:
    """What rows are sorted by: the layer that bears least first, one without a number last."""
    value = point(radius)
    return math.inf if value is None else value


def _cells(report: Report, layer: str | None) -> tuple[str, ...]:
    random, worst = (_row(report.width or (), which, layer) for which in ("random", "worst"))
    return (
        _name(layer, _NAME),
        without_error(random.radius),
        _span(random.interval, "lower_95", "upper_95"),
        _span(random.quantiles, "0.0", "1.0"),
        without_error(worst.radius),
    )


def _cells_against(report: Report, layer: str | None) -> tuple[str, ...]:
    assert report.against is not None
    sides = (report.width or (), report.against.width)
    ratio = {(r.directions, r.layer): r.value for r in report.against.ratio}
    random = (without_error(_row(rows, "random", layer).radius) for rows in sides)
    worst = (without_error(_row(rows, "worst", layer).radius) for rows in sides)
    return (
        _name(layer, _NAME_AGAINST),
        *random,
        _ratio(ratio["random", layer]),
        *worst,
        _ratio(ratio["worst", layer]),
    )


def _name(layer: str | None, length: int) -> str:
    return EVERY_LAYER if layer is None else shortened(layer, length) or "''"


def _span(ends: Mapping[str, float], lowest: str, highest: str) -> str:
    """From one end to the other."""
    low, high = (ends.get(key) for key in (lowest, highest))
    if low is None:
        return "–"
    return f"{percent(low)} to {'–' if high is None else percent(high)}"


def _ratio(value: Quantity) -> str:
    match value:
        case Estimate(number, stderr):
            return f"{number:.3g} ± {stderr:.1g}"
        case Exact(number):
            return f"{number:.3g}"
    return "–"


def _legend(report: Report) -> Lines:
    settings = report.provenance["settings"]
    row = _row(report.width or (), "random")
    what = "weights" if settings["scope"] == "weights" else "all parameters"
    if row.criterion == "loss":
        limit = f"the mean loss has risen by {row.tolerance:g} nats"
    else:
        limit = f"the accuracy has fallen by more than {row.tolerance:g}"
    drawn = f"Gaussian noise on {what}, {count(settings['draws'], 'draw')}"
    if settings["layer_draws"]:
        drawn += f" ({settings['layer_draws']} of each layer alone)"
    interval = " with its confidence interval over draws" if report.against is None else ""
    return paragraph(
        f"how far each tensor moves, in its own norm, when {limit}{_references(report)}. "
        f"random: {drawn}, geometric mean{interval}. worst found: by ascent of the loss; a shorter "
        "direction may exist."
    )


def _references(report: Report) -> str:
    """Loss and accuracy that it starts from."""
    parts = [(report.reference_loss, report.reference_accuracy)]
    if report.against is not None:
        parts.append((report.against.reference_loss, report.against.reference_accuracy))
    said = []
    for loss, accuracy in parts:
        amount = point(loss) if loss is not None else None
        right = "–" if accuracy is None else without_error(accuracy)
        said.append(f"{'–' if amount is None else f'{amount:.3g}'} (top-1 {right})")
    names = "" if len(said) == 1 else ", a and b"
    return f", from {' and '.join(said)}{names}"


def _curvature_lines(report: Report) -> Lines:
    assert report.curvature is not None
    sides: Mapping[str, Curvature | None] = {"": report.curvature}
    if report.against is not None:
        sides = {" a": report.curvature, " b": report.against.curvature}
    header = ("curvature of the loss", *(side.strip() for side in sides))
    found = [part for part in sides.values() if part is not None]
    rows = [("largest eigenvalues", *(_eigenvalues(part) for part in found))]
    rows.append(("trace ± se", *(_plain(part.trace) for part in found)))
    rows.append(("relative trace ± se", *(_plain(part.relative_trace) for part in found)))
    row = _row(report.width or (), "random")
    if row.criterion == "loss":
        second = [_second_order(part, row.tolerance) for part in found]
        rows.append(("random radius by second order", *second))
    lines = table(header, rows)
    reasons = {
        value.reason
        for part in found
        for value in (*part.top_eigenvalues, part.trace, part.relative_trace)
        if isinstance(value, Skipped)
    }
    for reason in sorted(reasons):
        lines += paragraph(f"curvature skipped: {reason}", indent="  ")
    return lines + paragraph(
        f"Hessian in {count(found[0].parameters, 'parameter')}. Within ± of each number (or half a "
        "last digit) lies an eigenvalue; a larger one may exist. relative trace: of moves in units "
        "of each tensor's norm."
    )


def _eigenvalues(part: Curvature) -> str:
    return ", ".join(_middle(value) for value in part.top_eigenvalues)


def _middle(value: Quantity) -> str:
    """An interval by its middle, with half its width where three digits show it."""
    if not isinstance(value, Interval):
        return "–"
    middle, half = 0.5 * (value.lower + value.upper), 0.5 * (value.upper - value.lower)
    shown = _number(middle)
    return shown if half < 0.5e-3 * abs(middle) else f"{shown} ± {half:.1g}"


def _plain(value: Quantity) -> str:
    if not isinstance(value, Estimate):
        return "–"
    return f"{_number(value.value)} ± {value.stderr:.2g}"


def _number(value: float) -> str:
    sign = "-" if value < 0 else ""
    return sign + plain_number(abs(value), 3)


def _second_order(part: Curvature, tolerance: float) -> str:
    """Where level^2 / 2 times the relative trace is the tolerance."""
    value = part.relative_trace
    if not isinstance(value, Estimate) or value.value <= 0.0:
        return "–"
    return percent(math.sqrt(2.0 * tolerance / value.value))


def _skipped(report: Report) -> list[tuple[str, str]]:
    """Each reason once, with the first part that has it."""
    sides: list[tuple[str, Sequence[WidthRow]]] = [("", report.width or ())]
    if report.against is not None:
        sides = [("a, ", report.width or ()), ("b, ", report.against.width)]
    found: dict[tuple[str, str], str] = {}
    for side, rows in sides:
        for row in rows:
            if isinstance(row.radius, Skipped):
                key = (side + row.directions, row.radius.reason)
                found.setdefault(key, f"{side}{row.directions}, {_name(row.layer, _NAME)}")
    return [(what, reason) for (_, reason), what in found.items()]
