"""What a person reads of `sensitivity`: the weights that stretch most, and their product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from netdistance.quantities import Interval, Quantity, Skipped
from netdistance.report.document import BoundRow, LayerNorm, Report
from netdistance.report.escape import shortened
from netdistance.report.input_output_text import (
    input_output_lines,
    input_output_sentence,
    lipschitz_row,
)
from netdistance.report.layout import Lines, paragraph, table
from netdistance.report.verdicts import synthetic_note
from netdistance.report.wording import count, names, plain_number

_ROWS = 12
_NAMED = 3
_HEADER = ("weight", "shape", "spectral norm", "log10", "stable rank", "of")


def sensitivity_verdict(report: Report) -> str:
    """The product of the norms, the weights that make most of it, and what has no norm."""
    assert report.sensitivity is not None
    product = report.sensitivity.log10_product
    tied = {row.name for row in report.tensors if row.tied_to is not None}
    layers = [layer for layer in report.sensitivity.layers if layer.name not in tied]
    missing = [layer.name for layer in layers if isinstance(layer.spectral_norm, Skipped)]
    measured = len(layers) - len(missing)
    if isinstance(product, Skipped):
        text = f"The product of the spectral norms has no number: {product.reason}."
    else:
        text = (
            f"The spectral norms of {count(measured, 'weight')} multiply to "
            f"{_power(product)}{_dominating(layers)}."
        )
    if missing:
        text += f" Without a norm: {names(missing)}."
    part = report.sensitivity.input_output
    if part is None:
        return text
    return f"{input_output_sentence(part, lipschitz_row(report))} {text}{synthetic_note(report)}"


def sensitivity_lines(report: Report, everything: bool) -> Lines:
    """The body of the report, below its verdict."""
    assert report.sensitivity is not None
    layers = sorted(report.sensitivity.layers, key=_upper, reverse=True)
    shown = layers if everything else layers[:_ROWS]
    shapes = {row.name: row.shape for row in report.tensors}
    lines = [
        *input_output_lines(report),
        "",
        *table(_HEADER, [_cells(y, shapes[y.name]) for y in shown], left="ll"),
    ]
    for layer in shown:
        if isinstance(layer.spectral_norm, Skipped):
            where = shortened(layer.name, 40)
            lines += paragraph(f"skipped {where}: {layer.spectral_norm.reason}", indent="  ")
    if len(shown) < len(layers):
        lines.append(f"(--all: {len(layers):,} weights)".rjust(64))
    row = next(row for row in report.bounds if row.name == "spectral_product")
    return [*lines, "", *_legend(row, [shapes[layer.name] for layer in layers])]


def _upper(layer: LayerNorm) -> float:
    """What the table is sorted by: a weight without a norm is what a reader must see first."""
    norm = layer.spectral_norm
    return norm.upper if isinstance(norm, Interval) else math.inf


def _cells(layer: LayerNorm, shape: tuple[int, ...]) -> tuple[str, ...]:
    norm, log10 = layer.spectral_norm, ""
    if isinstance(norm, Interval) and norm.upper > 0.0:
        log10 = f"{math.log10(norm.upper):+.2f}"
    sides = "x".join(map(str, shape))
    return (
        shortened(layer.name, 30),
        shortened(sides, 16),
        span(norm),
        log10,
        span(layer.stable_rank),
        f"{min(shape[:2]):,}",
    )


def span(value: Quantity) -> str:
    """An interval in three digits, each end rounded outward; one number where four digits agree.

    >>> span(Interval(2.71828, 2.71829)), span(Interval(2.7, 2.7349)), span(Interval(1530, 1569))
    ('2.718', '2.70–2.74', '1,530–1,570')
    """
    if not isinstance(value, Interval):
        return "–"
    if f"{value.lower:.4g}" == f"{value.upper:.4g}":
        return plain_number(value.upper, 4)
    lower, upper = (
        Context(prec=3, rounding=rounding).create_decimal(Decimal(end))
        for end, rounding in ((value.lower, ROUND_FLOOR), (value.upper, ROUND_CEILING))
    )
    return f"{plain_number(float(lower), 3)}–{plain_number(float(upper), 3)}"


def _power(log10: Quantity) -> str:
    """10^x, or the plain number where that is easier to read.

    >>> _power(Interval(8.301, 8.302)), _power(Interval(0.30, 0.301))
    ('10^8.30 to 10^8.31', '1.99–2.00')
    """
    if not isinstance(log10, Interval):
        return "–"
    if max(abs(log10.lower), abs(log10.upper)) < 4.0:
        return span(Interval(10.0**log10.lower, 10.0**log10.upper))
    lower, upper = math.floor(100.0 * log10.lower) / 100.0, math.ceil(100.0 * log10.upper) / 100.0
    return f"10^{lower:.2f} to 10^{upper:.2f}"


def _dominating(layers: Sequence[LayerNorm]) -> str:
    """The fewest weights that make half of the growth, or that there is no such few.

    Logarithms add where norms multiply, so a weight's part of the growth is its logarithm, over
    the norms above 1.
    """
    norms = [
        (y.spectral_norm.upper, y.name) for y in layers if isinstance(y.spectral_norm, Interval)
    ]
    parts = sorted(((math.log10(norm), name) for norm, name in norms if norm > 1.0), reverse=True)
    total, done, heaviest = math.fsum(part for part, _ in parts), 0.0, []
    for part, name in parts:
        if done >= 0.5 * total:
            break
        done += part
        heaviest.append(name)
    if not heaviest:
        return ", none of them above 1"
    if len(heaviest) > _NAMED:
        return f"; none dominates, and {shortened(heaviest[0], 48)} is the largest"
    dominates = "dominates" if len(heaviest) == 1 else "dominate"
    return f"; {names(heaviest)} {dominates}, with {100.0 * done / total:.0f}% of the growth"


def _legend(row: BoundRow, shapes: Sequence[tuple[int, ...]]) -> Lines:
    over = next(text for text in row.assumptions if text.startswith("product over"))
    kernels = sum(math.prod(shape[2:]) > 1 for shape in shapes)
    lines = paragraph(
        "spectral norm: how much the weight can stretch an input, between two proved ends. "
        "stable rank: how many directions share that stretch, at most the last column"
        f"{'; below 1 where few frequencies carry a kernel' if kernels else ''}."
    )
    if kernels:
        subject = "1 weight is a kernel" if kernels == 1 else f"{kernels:,} weights are kernels"
        lines += paragraph(
            f"{subject}: the norm is that of the convolution at stride 1, any "
            "input size; its upper end also holds with strides, zero padding, dilation and groups."
        )
    if isinstance(row.log10, Interval) and row.log10.confidence < 1.0:
        lines += paragraph(
            f"Some intervals hold with probability {row.log10.confidence!r} over the random start "
            "of their computation."
        )
    amount = _power(row.log10) if isinstance(row.log10, Interval) else "skipped"
    lines += paragraph(
        f"spectral product  {amount}  modelled: {over}. It bounds how far the outputs move per "
        "unit of input only for a plain chain of these weights; branches, normalisation and reuse "
        "are in the graph, which a checkpoint does not hold.",
        indent=" " * 18,
    )
    return lines
