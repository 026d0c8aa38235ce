"""What the outputs and layers do, in words: measures with their units, and what each layer did."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netdistance.quantities import Estimate, Quantity, Skipped, point
from netdistance.report.document import DeviationRow, Report
from netdistance.report.layers import Column, Grouping, Layer, worst_first
from netdistance.report.layout import Lines, paragraph, table
from netdistance.report.rank_correlation import ranked_layers
from netdistance.report.wording import count, percent, quantity, without_error

MEASURE_HEADER = ("measured over the inputs", "mean ± se")
_QUANTILES = ("0.5", "0.9", "1.0")
# what is no fraction is told as it is; a suffix says of which network
_UNITS = {
    "kl_divergence": "nats",
    "loss": "nats",
    "logit_margin": "",
    "perplexity": "",
    "rank_correlation": "",
}
_OF_BOTH = ("accuracy", "loss", "perplexity", "logit_margin")
# from here on, and below, a rank correlation says that one number tells the other
_TELLS, _TELLS_LITTLE = 0.7, 0.3


def _base(measure: str) -> str:
    """The measure without the network that it is of."""
    return measure.removesuffix("_a").removesuffix("_b")


def measure_cells(row: DeviationRow) -> tuple[str, str]:
    """A measure and its value with the standard error, for a table.

    >>> measure_cells(DeviationRow("loss_a", Estimate(0.25, 0.01)))
    ('loss a (nats)', '0.25 ± 0.01')
    """
    unit = _UNITS.get(_base(row.measure))
    name = row.measure.replace("_", " ")
    return f"{name} ({unit})" if unit else name, _amount(row, row.value)


def _amount(row: DeviationRow, value: Quantity) -> str:
    if _base(row.measure) not in _UNITS:
        return quantity(value)
    error = f" ± {value.stderr:.2g}" if isinstance(value, Estimate) and value.stderr else ""
    return _short(row, value) + error


def _short(row: DeviationRow, value: Quantity) -> str:
    """The value alone."""
    if _base(row.measure) not in _UNITS:
        return without_error(value)
    number = point(value)
    return "–" if number is None else f"{number:.3g}"


def output_lines(report: Report, *, everything: bool) -> Lines:
    """The measures of the outputs: those of one network in a sentence, unless everything."""
    rows = [row for row in report.deviation or () if row.measure != "rank_correlation"]
    known = [row for row in rows if not isinstance(row.value, Skipped)]
    both = [row for row in known if _base(row.measure) in _OF_BOTH]
    cells = [
        (*measure_cells(row), *(_quantile(row, q) for q in _QUANTILES))
        for row in known
        if everything or row not in both
    ]
    header = (*MEASURE_HEADER, "median", "90% below", "largest")
    lines = [*table(header, cells)] if cells else []
    if both and not everything:
        lines += paragraph(_a_to_b(both), indent="  ")
    lines += [
        f"the input that moved most: number {row.worst_input:,}, counted from 0"
        for row in known[:1]
        if row.worst_input is not None and everything
    ]
    if padding := report.provenance.get("padding"):
        lines += paragraph(str(padding), indent="  ")
    return [*lines, *_skipped(rows), ""]


def _quantile(row: DeviationRow, which: str) -> str:
    if which not in row.quantiles:
        return ""
    value = row.quantiles[which]
    return percent(value) if _base(row.measure) not in _UNITS else f"{value:.3g}"


def _a_to_b(rows: Sequence[DeviationRow]) -> str:
    parts = []
    for base in _OF_BOTH:
        sides = [_short(row, row.value) for row in rows if _base(row.measure) == base]
        if len(sides) == 2:
            unit = f" {_UNITS[base]}" if _UNITS.get(base) else ""
            parts.append(f"{base.replace('_', ' ')} {sides[0]} to {sides[1]}{unit}")
    return f"a to b: {', '.join(parts)}." if parts else ""


def _skipped(rows: Sequence[DeviationRow]) -> Lines:
    """Each reason once, with the measures that it is the reason of."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if isinstance(row.value, Skipped):
            reasons.setdefault(row.value.reason, []).append(row.measure.replace("_", " "))
    return [
        line
        for reason, of in reasons.items()
        for line in paragraph(f"skipped {', '.join(of)}: {reason}", indent="  ")
    ]


def told_layers(report: Report, grouping: Grouping = "layers") -> list[Layer]:
    """The layers worst first: by what each did alone to the outputs, where that was measured."""
    layers = worst_first(report.tensors, grouping)
    if grouping != "layers" or not report.attribution:
        return layers
    alone = _by_scheme(report, "swap_in")

    def effect(layer: Layer) -> float:
        value = point(alone[layer.name]) if layer.name in alone else None
        if value is None:
            return math.inf if layer.change is None else -1.0
        return value

    return sorted(layers, key=effect, reverse=True)


def effect_columns(report: Report, *, everything: bool) -> tuple[Column, ...]:
    """What each layer's activations did, and what it did to the outputs, for the table of layers.

    A layer that is called again has the numbers of its first call here.
    """
    columns = []
    if report.layers:
        moved = {row.name: row.relative_activation for row in report.layers}
        injected = {row.name: row.injected for row in report.layers}
        columns += [_column("activations", moved), _column("injected", injected)]
    if report.attribution:
        schemes = ("swap_in", "swap_out", "telescoping") if everything else ("swap_in",)
        columns += [_column(of.replace("_", " "), _by_scheme(report, of)) for of in schemes]
    return tuple(columns)


def effect_lines(report: Report) -> Lines:
    """What the columns mean, and whether the cheap number told what the layers did."""
    if not report.layers and not report.attribution:
        return []
    parts = ["measured: activations, how far the layer's move; injected, by its own change alone"]
    if report.attribution:
        inputs = count(report.attribution[0].inputs, "input")
        parts.append(f"swap in, the outputs of a with b's layer alone ({inputs})")
    lines = paragraph("; ".join(parts) + ".")
    found = [row for row in report.deviation or () if row.measure == "rank_correlation"]
    number = point(found[0].value) if found else None
    if number is None or not report.attribution:
        return lines
    layers = len(ranked_layers(report.tensors, report.attribution))
    return lines + paragraph(
        f"{_told(number)}: rank correlation {number:.2f} over {layers} layers."
    )


def _told(number: float) -> str:
    if number >= _TELLS:
        return "Layers that moved most also did most"
    if number >= _TELLS_LITTLE:
        return "Moving more says little of doing more"
    return "Moving most was not doing most"


def _by_scheme(report: Report, scheme: str) -> dict[str, Quantity]:
    return {row.layer: row.value for row in report.attribution or () if row.scheme == scheme}


def _column(title: str, values: dict[str, Quantity]) -> Column:
    return Column(
        title,
        lambda layer: without_error(values[layer.name]) if layer.name in values else "",
        lambda layer: (point(values[layer.name]) or 0.0) if layer.name in values else 0.0,
    )
