"""What a person reads of `gradients`: how the gradient and the loss change along each move."""

from __future__ import annotations

from collections.abc import Sequence

from netdistance.quantities import Estimate, Quantity, Skipped, point
from netdistance.report.document import Report
from netdistance.report.escape import shortened
from netdistance.report.gradient_rows import Descent, GradientPoint, Move, TensorGradient
from netdistance.report.layout import Lines, paragraph, table
from netdistance.report.wording import count, names, percent, plain_number, quantity, without_error

_ROWS, _SIZES = 6, 5
_TITLES: dict[Move, tuple[str, str]] = {
    "step": ("down the gradient, each tensor by the same part of its norm:", "step"),
    "noise": ("random noise of the same size:", "noise"),
    "pair": ("along a + t(b - a):", "t"),
}


def gradients_verdict(report: Report, stays: Sequence[str] = ()) -> str:
    """How far the loss falls, where the gradient is another, and whether the model foresaw it.

    `stays` are the tensors that differ in b and do not move toward it.
    """
    points = _points(report, "step")
    if all(isinstance(p.gradient_change, Skipped) for p in points):
        return f"Down the gradient nothing was measured: {_reason(points[0].gradient_change)}."
    descent = next(row for row in report.descent or () if row.move == "step")
    found = f"{_falls(descent)} {_broken(points)} {_exceeded(report.gradients or ())}"
    return found + _left_behind(stays)


def _left_behind(stays: Sequence[str]) -> str:
    if not stays:
        return ""
    many = f"{len(stays):,} tensors that differ stay"
    those = "1 tensor that differs stays" if len(stays) == 1 else many
    return f" Toward b {those} a's ({names(stays)}), so that t = 1 is not b itself."


def _points(report: Report, move: Move) -> list[GradientPoint]:
    return [place for place in report.gradients or () if place.move == move]


def _reason(value: Quantity) -> str:
    return value.reason if isinstance(value, Skipped) else ""


def _falls(descent: Descent) -> str:
    row = descent.max_relative_step
    lemma = f"Lemma 2 models {without_error(row.value)}"
    if isinstance(row.measured, Skipped):
        return f"Down the gradient {row.measured.reason}; {lemma}."
    amount = without_error(row.measured)
    return f"Down the gradient the loss was lower up to a step of {amount}; {lemma}."


def _broken(points: Sequence[GradientPoint]) -> str:
    """The first step at which the gradient has changed by its own size, or the most of all."""
    known = [(p, c) for p in points if (c := point(p.gradient_change)) is not None]
    place, change = next(((p, c) for p, c in known if c >= 1.0), max(known, key=lambda k: k[1]))
    if change < 1.0:
        return f"The gradient changes by at most {percent(change)}{_inside(place)}."
    where = f"at a step of {percent(place.size)}{' already' if place is points[0] else ''}"
    return f"The gradient has broken down {where}: it changes by {percent(change)}{_inside(place)}."


def _inside(place: GradientPoint) -> str:
    name = _most_in(place)
    return f" in {name}" if name else ""


def _most_in(place: GradientPoint) -> str:
    """The tensor whose gradient changes most; empty where none has a number."""
    known = [(c, t.tensor) for t in place.tensors if (c := point(t.gradient_change)) is not None]
    return shortened(max(known, key=lambda k: k[0])[1], 30) if known else ""


def _exceeded(points: Sequence[GradientPoint]) -> str:
    beyond = [place for place in points if _violated(place)]
    if not beyond:
        return "Deep relative trust, a model of that change, was not exceeded."
    worst = max(beyond, key=lambda p: (point(p.trust.measured) or 0.0) / (_trust(p) or 1e-300))
    seen, says = (without_error(q) for q in (worst.trust.measured, worst.trust.value))
    where = f"{len(beyond)} of {count(len(points), 'move')}"
    return (
        f"Deep relative trust, a model of that change, is exceeded in {where}: {seen} measured, "
        f"{says} modelled."
    )


def _trust(place: GradientPoint) -> float | None:
    return point(place.trust.value)


def _violated(place: GradientPoint) -> bool:
    """Whether the model says less than was measured; one that overflows says no less."""
    says, seen = _trust(place), point(place.trust.measured)
    return says is not None and seen is not None and seen > says


def gradients_lines(report: Report, everything: bool) -> Lines:
    """The body of the report, below its verdict."""
    lines: Lines = []
    for move, (title, first) in _TITLES.items():
        places = _points(report, move)
        if places:
            lines += ["", title, *_move_table(report, places, first)]
    lines += ["", "gradient change of each tensor, down the gradient:"]
    lines += [*_tensor_table(_points(report, "step"), everything), "", *_descent_table(report)]
    for what, reason in _skipped(report):
        lines += paragraph(f"{what} skipped: {reason}", indent="  ")
    return [*lines, "", *_legend(report)]


def _move_table(report: Report, places: Sequence[GradientPoint], first: str) -> Lines:
    header = (first, "gradient change", "most in", "modelled", "loss", "estimated ≤")
    ends = 6 if places[0].loss_change is not None else 5
    rows = [_cells(report, place)[:ends] for place in places]
    return table(header[:ends], rows, left="lrl")


def _cells(report: Report, place: GradientPoint) -> tuple[str, ...]:
    size = f"{place.size:g}" if place.move == "pair" else percent(place.size)
    mark = " !" if _violated(place) else "  "
    return (
        size,
        quantity(place.gradient_change) + mark,
        _most_in(place) or "–",
        _modelled(place),
        _loss(place.loss),
        _estimated(report, place),
    )


def _modelled(place: GradientPoint) -> str:
    """Deep relative trust, as a power of ten where it overflows."""
    log10 = None if place.trust.log10 is None else point(place.trust.log10)
    if _trust(place) is None and log10 is not None:
        return f"10^{log10:.0f}x"
    return without_error(place.trust.value)


def _estimated(report: Report, place: GradientPoint) -> str:
    """Lemma 1, as the loss that it allows."""
    start = None if report.reference_loss is None else point(report.reference_loss)
    bound = None if place.loss_change is None else point(place.loss_change.value)
    return "–" if start is None or bound is None else _nats(start + bound)


def _loss(value: Quantity | None) -> str:
    number = None if value is None else point(value)
    if number is None:
        return "–"
    error = value.stderr if isinstance(value, Estimate) else 0.0
    return f"{_nats(number)} ± {error:.2g}" if error else _nats(number)


def _nats(number: float) -> str:
    return ("-" if number < 0.0 else "") + plain_number(abs(number), 3)


def _tensor_table(points: Sequence[GradientPoint], everything: bool) -> Lines:
    """The change of each tensor's gradient down the gradient, the largest first."""
    last = len(points) - 1
    chosen = sorted({round(i * last / max(1, _SIZES - 1)) for i in range(_SIZES)}) if last else [0]
    shown = [points[i] for i in chosen]
    rows = [[place.tensors[i] for place in shown] for i in range(len(points[0].tensors))]
    rows.sort(key=_worst, reverse=True)
    kept = rows if everything else rows[:_ROWS]
    header = ("tensor", *(percent(p.size) for p in shown), f"loss, {percent(shown[-1].size)} alone")
    lines = table(header, [_tensor_cells(row) for row in kept])
    if len(kept) < len(rows):
        lines.append(f"(--all: {len(rows):,} tensors)".rjust(64))
    return lines


def _worst(row: Sequence[TensorGradient]) -> float:
    return max((point(place.gradient_change) or 0.0 for place in row), default=0.0)


def _tensor_cells(row: Sequence[TensorGradient]) -> tuple[str, ...]:
    changes = (without_error(place.gradient_change) for place in row)
    return shortened(row[0].tensor, 40), *changes, _loss(row[-1].loss)


def _skipped(report: Report) -> list[tuple[str, str]]:
    """Each reason once, with the first place that has it."""
    found: dict[str, str] = {}
    for place in report.gradients or ():
        where = f"{place.move} {place.size:g}"
        own: list[tuple[str, Quantity | None]] = [
            (t.tensor, q) for t in place.tensors for q in (t.relative_step, t.gradient_change)
        ]
        bound = place.loss_change
        own += [("gradient change", place.gradient_change), ("loss", place.loss)]
        own += [("modelled", place.trust.value), ("estimated", bound.value if bound else None)]
        for what, value in own:
            if isinstance(value, Skipped):
                found.setdefault(value.reason, f"{shortened(what, 40)} at {where}")
    for row in report.descent or ():
        for value in (row.max_relative_step.value, row.max_relative_step.measured):
            if isinstance(value, Skipped):
                found.setdefault(value.reason, f"largest step ({row.move})")
    return [(what, reason) for reason, what in found.items()]


def _descent_table(report: Report) -> Lines:
    """The largest step that lowers the loss, measured beside its model."""
    titles = {"step": "down the gradient", "pair": "toward b, in the tensor that moves most"}
    header = ("largest step that lowers the loss", "measured", "modelled (Lemma 2)")
    rows = [
        (titles[row.move], *(without_error(q) for q in (bound.measured, bound.value)))
        for row in report.descent or ()
        for bound in (row.max_relative_step,)
    ]
    return table(header, rows)


def _legend(report: Report) -> Lines:
    settings = report.provenance["settings"]
    what = "weights" if settings["scope"] == "weights" else "all parameters"
    loss, accuracy = report.reference_loss, report.reference_accuracy
    start = "–" if loss is None or (number := point(loss)) is None else f"{number:.3g}"
    top1 = "–" if accuracy is None else without_error(accuracy)
    return paragraph(
        f"gradient change: |g' - g| / |g| where it is largest, g of the mean loss, from {start} "
        f"nats (top-1 {top1}), by each tensor; {what} move. noise: mean of "
        f"{count(settings['draws'], 'draw')}. modelled: deep relative trust, no bound; !: "
        "exceeded. estimated ≤: the loss by Lemma 1, sampled at the sizes tried."
    )
