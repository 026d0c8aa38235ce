"""What a person reads of `compare`: coverage, the layers that moved most, outputs, bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netdistance.quantities import Skipped, point
from netdistance.report.bound_text import bound_lines, tightest
from netdistance.report.conversion_text import conversion_lines, conversions_told
from netdistance.report.document import BoundRow, PairingAccount, Report, TensorRow
from netdistance.report.escape import abbreviated
from netdistance.report.layers import Grouping, columns_of
from netdistance.report.layout import Lines, paragraph, table
from netdistance.report.noise_floor import held_by
from netdistance.report.output_text import (
    effect_columns,
    effect_lines,
    output_lines,
    told_layers,
)
from netdistance.report.wording import count, names, percent, quantity, without_error

_ROWS = 12
_BAR_COLUMNS = 8
_FEW_COLUMNS = 4


def compare_lines(report: Report, everything: bool, grouping: Grouping = "layers") -> Lines:
    """The body of the report, below its verdict."""
    lines: Lines = []
    lines += coverage_lines(report)
    if everything and (found := conversion_lines(report.tensors)):
        lines += ["", *found]
    if layers := _layer_table(report, grouping, everything=everything):
        effects = effect_lines(report) if grouping == "layers" else []
        lines += [*layers, *effects, "", *_held(report.tensors)]
    if report.deviation is None:
        # where nothing moved, the verdict has said everything
        return lines + _modelled(report.bounds) if layers else lines
    lines += [*([] if layers else [""]), *output_lines(report, everything=everything)]
    lines += _path_table(report, everything=everything)
    return lines + bound_lines(report.bounds)


def coverage_lines(report: Report) -> Lines:
    """What faced what, what did not, and what was remarked while the files were opened."""
    lines: Lines = []
    if report.pairing is not None:
        lines += paragraph(_coverage(report.pairing, report.tensors))
        told = conversions_told(report.tensors)
        lines += paragraph(told) if told else []
        lines += _unmatched(report.pairing)
    return lines + _notes(report)


def _coverage(pairing: PairingAccount, rows: Sequence[TensorRow]) -> str:
    parameters = sum(math.prod(row.shape) for row in rows if row.tied_to is None)
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
        ("ambiguous", [f"{m.name} ({'; '.join(m.candidates)})" for m in pairing.ambiguous or ()]),
    ):
        if items:
            lines += paragraph(f"{title}: {names(items)}", indent="  ")
    return lines


def _layer_table(report: Report, grouping: Grouping, *, everything: bool) -> Lines:
    layers, rows = told_layers(report, grouping), report.tensors
    if not any(layer.change is None or layer.change > 0.0 for layer in layers):
        return []  # nothing moved, and the verdict says so
    shown = layers if everything or grouping == "tensors" else layers[:_ROWS]
    most = max(layer.share for layer in layers)
    effects = effect_columns(report, everything=False) if grouping == "layers" else ()
    columns = (*columns_of(rows), *effects)
    bar = _BAR_COLUMNS if len(columns) <= _FEW_COLUMNS else 0
    # where weights moved most everywhere, saying so would take the room that names need
    others = [y for y in shown if y.tensor not in ("", "weight") and y.change != 0.0]
    told = bool(others) and not effects
    cells = [
        (
            layer.name or "''",
            *(
                [abbreviated(layer.tensor, 20) if layer.tensor and layer.change != 0.0 else ""]
                if told
                else []
            ),
            # why a number is missing stands below the table
            *(column.text(layer).partition(": ")[0] for column in columns),
            "█" * round(bar * layer.share / most) if most else "",
        )
        for layer in shown
    ]
    words = (grouping.removesuffix("s"), *(["moved most"] if told else []))
    header = (*words, *(column.title for column in columns), "")
    sides = "l" * len(words) + "r" * len(columns) + "l"
    lines = ["", *table(header, cells, left=sides)]
    for layer in shown:
        if layer.reason:
            lines += paragraph(f"skipped {layer.name}: {layer.reason}", indent="  ")
    if len(shown) < len(layers):
        lines.append(f"(--all: {len(layers):,} {grouping})".rjust(64))
    return lines


def _held(rows: Sequence[TensorRow]) -> Lines:
    lines: Lines = []
    for name, held in held_by(rows).items():
        text = f"{count(held, 'weight')} of a lie on the {name} grid already: no multiple there."
        lines += paragraph(text, indent="  ")
    return [*lines, ""] if lines else []


def _modelled(bounds: Sequence[BoundRow]) -> Lines:
    by_name = {row.name: row for row in bounds}
    lines: Lines = []
    for name, line in _TRUST_LINES.items():
        lines += line(by_name[name]) if name in by_name else []
    return [*lines, "next: add --model and --inputs to see what the outputs do."]


def _trust_line(trust: BoundRow) -> Lines:
    notes = [a for a in trust.assumptions if a.startswith(("product over", "partial"))]
    text = f"deep relative trust  {_times(trust)}  a model, not a bound: product of (1 + change) "
    text += f"over {notes[0].removeprefix('product over ')}, minus 1. Outputs were not measured."
    for note in notes[1:]:
        head, _, listed = note.partition(": ")
        text += f" {head.capitalize()}: {names(listed.split(', '))}."
    return paragraph(text, indent=" " * 21)


def _spectral_line(trust: BoundRow) -> Lines:
    text = f"spectral trust       {_times(trust)}  a model too: the same product of spectral "
    return paragraph(text + "changes, which are proved intervals.", indent=" " * 21)


def _times(trust: BoundRow) -> str:
    value = point(trust.value)
    if value is not None:
        return f"x {value:.3g}" if value >= 1.0 else percent(value)
    if trust.log10 is not None and (log10 := point(trust.log10)) is not None:
        return f"x 10^{log10:.1f}"
    return f"skipped ({trust.value.reason})" if isinstance(trust.value, Skipped) else ""


def _path_table(report: Report, *, everything: bool) -> Lines:
    if not report.path:
        return []
    rows = []
    few = (report.path[0], report.path[len(report.path) // 2], report.path[-1])
    for place in report.path if everything or len(report.path) < len(few) else few:
        by_name = {row.name: row for row in place.bounds}
        certificate = tightest(place.bounds)
        rows.append(
            (
                f"{place.t:g}",
                without_error(place.deviation),
                "" if certificate is None else quantity(certificate.measured),
                "" if certificate is None else quantity(certificate.value),
                quantity(by_name["deep_relative_trust"].value),
            )
        )
    header = ("t", "measured mean", "worst", "certified", "modelled")
    covered = report.path[-1].bounds[-1].inputs
    title = f"along a + t(b - a); worst and certified on the first {count(covered or 0, 'input')}:"
    return [title, *table(header, rows), ""]


_TRUST_LINES = {"deep_relative_trust": _trust_line, "spectral_trust": _spectral_line}
