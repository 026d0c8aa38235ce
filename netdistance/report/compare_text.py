"""What a person reads of `compare`: coverage, the layers that moved most, outputs, bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netdistance.quantities import Exact, Skipped
from netdistance.report.bound_text import bound_lines
from netdistance.report.document import BoundRow, PairingAccount, Report, TensorRow
from netdistance.report.escape import shortened
from netdistance.report.layers import Layer, layers_of
from netdistance.report.layout import Lines, paragraph, table
from netdistance.report.noise_floor import NoiseFloor, multiple, noise_floor
from netdistance.report.wording import count, names, percent, quantity, without_error

_ROWS = 12
_BAR_COLUMNS = 8
_QUANTILES = ("0.5", "0.9", "1.0")


def compare_lines(report: Report, everything: bool) -> Lines:
    """The body of the report, below its verdict."""
    lines: Lines = []
    if report.pairing is not None:
        lines += paragraph(_coverage(report.pairing, report.tensors))
        lines += _unmatched(report.pairing)
    lines += _notes(report)
    lines += ["", *_layer_table(report.tensors, everything=everything), ""]
    if report.deviation is None:
        trust = next(row for row in report.bounds if row.name == "deep_relative_trust")
        lines += _trust_line(trust)
        lines += ["next: add --model and --inputs to see what the outputs do."]
        return lines
    lines += _outputs(report)
    lines += _path_table(report)
    return lines + bound_lines(report.bounds)


def _coverage(pairing: PairingAccount, rows: Sequence[TensorRow]) -> str:
    parameters = sum(math.prod(row.shape) for row in rows)
    unmatched = len(pairing.only_a) + len(pairing.only_b) + len(pairing.reshaped)
    parts = [f"{unmatched or 'none'} unmatched", f"{len(pairing.non_finite) or 'none'} non-finite"]
    if pairing.skipped:
        parts.append(f"{len(pairing.skipped)} not measured")
    return (
        f"{count(pairing.compared, 'tensor')} compared ({_magnitude(parameters)} parameters): "
        f"{pairing.compared - pairing.identical:,} changed, {pairing.identical:,} identical; "
        f"{', '.join(parts)}."
    )


def _magnitude(number: int) -> str:
    for limit, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= limit:
            return f"{number / limit:.1f} {unit}"
    return str(number)


def _notes(report: Report) -> Lines:
    """What was remarked while a file was opened, such as entries that were left out."""
    lines: Lines = []
    for side, file in zip("ab", report.provenance.get("files", ()), strict=False):
        for note in file["notes"]:
            lines += paragraph(f"note on {side}: {note}", indent="  ")
    return lines


def _unmatched(pairing: PairingAccount) -> Lines:
    lines: Lines = []
    for title, items in (
        ("only in a", pairing.only_a),
        ("only in b", pairing.only_b),
        ("shapes differ", [f"{r.name} {r.shape_a} / {r.shape_b}" for r in pairing.reshaped]),
        ("non-finite", [f"{n.name} ({n.count_a} / {n.count_b})" for n in pairing.non_finite]),
        ("not measured", [f"{s.name} ({s.reason})" for s in pairing.skipped]),
    ):
        if items:
            lines += paragraph(f"{title}: {names(items)}", indent="  ")
    return lines


def _cells(layer: Layer, floor: NoiseFloor | None, largest: float) -> tuple[str, ...]:
    multiples = [multiple(row, floor.format) for row in layer.rows] if floor is not None else []
    known = [m for m in multiples if m is not None]
    return (
        shortened(layer.name, 30),
        shortened(layer.tensor, 14) if layer.tensor else "",
        percent(layer.change) if layer.change is not None else "skipped",
        f"{max(known):.2g}x" if known else "",
        f"{100.0 * layer.share:.1f}%" if layer.share else "",
        "█" * round(_BAR_COLUMNS * layer.share / largest) if largest else "",
    )


def _layer_table(rows: Sequence[TensorRow], *, everything: bool) -> Lines:
    layers = sorted(
        layers_of(rows), key=lambda y: math.inf if y.change is None else y.change, reverse=True
    )
    shown = layers if everything else layers[:_ROWS]
    largest = max((layer.share for layer in layers), default=0.0)
    floor = noise_floor(rows)
    cells = [_cells(layer, floor, largest) for layer in shown]
    against = f"x {floor.format} rounding" if floor is not None else ""
    header = ("layer", "moved most", "change", against, "share of trust", "")
    lines = table(header, cells, left="llrrrl")
    for layer in shown:
        if layer.reason:
            lines += paragraph(f"skipped {layer.name}: {layer.reason}", indent="  ")
    if len(shown) < len(layers):
        lines.append(f"(--all: {len(layers):,} layers)".rjust(64))
    return lines


def _trust_line(trust: BoundRow) -> Lines:
    if isinstance(trust.value, Exact):
        value = trust.value.value
        amount = f"x {value:.3g}" if value >= 1.0 else percent(value)
    elif isinstance(trust.log10, Exact):
        amount = f"x 10^{trust.log10.value:.1f}"
    else:
        amount = f"skipped ({trust.value.reason})" if isinstance(trust.value, Skipped) else ""
    notes = [a for a in trust.assumptions if a.startswith(("product over", "partial"))]
    text = f"deep relative trust  {amount}  a model, not a bound: product of (1 + change) over "
    text += f"{notes[0].removeprefix('product over ')}, minus 1. Outputs were not measured."
    for note in notes[1:]:
        head, _, listed = note.partition(": ")
        text += f" {head.capitalize()}: {names(listed.split(', '))}."
    return paragraph(text, indent=" " * 21)


def _outputs(report: Report) -> Lines:
    rows = [
        (
            row.measure.replace("_", " "),
            quantity(row.value),
            *(percent(row.quantiles[q]) if q in row.quantiles else "" for q in _QUANTILES),
        )
        for row in report.deviation or ()
    ]
    header = ("measured over the inputs", "mean ± se", "median", "90% below", "largest")
    return [*table(header, rows), ""]


def _path_table(report: Report) -> Lines:
    if not report.path:
        return []
    rows = []
    for place in report.path:
        by_name = {row.name: row for row in place.bounds}
        certificate = by_name["known_change_certificate"]
        rows.append(
            (
                f"{place.t:g}",
                without_error(place.deviation),
                quantity(certificate.measured),
                quantity(certificate.value),
                quantity(by_name["deep_relative_trust"].value),
            )
        )
    header = ("t", "measured mean", "worst", "certified", "modelled")
    covered = report.path[-1].bounds[-1].inputs
    title = f"along a + t(b - a); worst and certified on the first {count(covered or 0, 'input')}:"
    return [title, *table(header, rows), ""]
