"""What a person reads of a simulated compression: sizes beside deviations, then the layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from netdistance.quantities import Quantity, Skipped, point
from netdistance.report.audit_rows import AuditRow, FrontierRow
from netdistance.report.document import Report
from netdistance.report.layout import Lines, paragraph, table
from netdistance.report.verdicts import synthetic_note
from netdistance.report.wording import count, percent, plain_number, quantity, without_error

FRONTIER_HEADER = ("layers stored as", "bits per weight", "outputs move ± se", "predicted")
AUDIT_HEADER = (
    "layer", "stored as", "bits", "weights move", "outputs move", "first order", "verdict",
)  # fmt: skip
_AS_IT_IS = "as it is"
_ROWS = 12


def simulate_verdict(report: Report) -> str:
    """What the budget bought, or what each scheme costs on every layer."""
    rows = report.frontier or ()
    chosen = next((row for row in rows if row.chosen), None)
    budget = report.provenance["settings"].get("budget")
    if budget is not None and chosen is not None:
        text = _of_budget(rows, chosen, _budget_text(budget))
    else:
        uniform = [row for row in rows if name_of(row.assignment) not in (None, _AS_IT_IS)]
        parts = [_of_uniform(row) for row in uniform]
        text = f"{'; '.join(parts)}." if parts else "No scheme can store every layer."
        text = text[0].upper() + text[1:]
    return text + synthetic_note(report)


def _budget_text(budget: object) -> str:
    text = str(budget).strip()
    return text if text.endswith("%") else percent(float(text))


def _of_budget(rows: Sequence[FrontierRow], chosen: FrontierRow, budget: str) -> str:
    largest = rows[0].bits_per_weight
    if name_of(chosen.assignment) == _AS_IT_IS:
        least = min((r for r in rows if r is not chosen), key=_deviation_of, default=None)
        nearest = (
            ""
            if least is None
            else f"; the least that was measured is {without_error(least.deviation)}, "
            f"at {bits(least.bits_per_weight)} bits per weight"
        )
        return f"Nothing but the network as it is keeps the outputs within {budget}{nearest}."
    return (
        f"{bits(chosen.bits_per_weight)} bits per weight instead of {bits(largest)} keep the "
        f"outputs within {budget}: they move by {without_error(chosen.deviation)}, with "
        f"{mixture(chosen.assignment)}."
    )


def _deviation_of(row: FrontierRow) -> float:
    value = point(row.deviation)
    return float("inf") if value is None else value


def _of_uniform(row: FrontierRow) -> str:
    size = f"{name_of(row.assignment)} takes {bits(row.bits_per_weight)} bits per weight"
    if isinstance(row.deviation, Skipped):
        return size
    return f"{size} and moves the outputs by {without_error(row.deviation)}"


def name_of(assignment: Mapping[str, str]) -> str | None:
    """The scheme of every layer, or None where they differ."""
    schemes = set(assignment.values())
    return schemes.pop() if len(schemes) == 1 else None


def mixture(assignment: Mapping[str, str]) -> str:
    """How many layers are stored how, the most frequent first.

    >>> mixture({"a": "int8", "b": "nf4", "c": "int8"})
    '2 int8, 1 nf4'
    """
    if (name := name_of(assignment)) is not None:
        return f"{name} for every layer" if name != _AS_IT_IS else name
    counts = Counter(assignment.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number:,} {scheme}" for scheme, number in ordered)


def bits(number: float) -> str:
    """Bits per weight in three digits.

    >>> bits(4.25), bits(32.0)
    ('4.25', '32.0')
    """
    return plain_number(number, 3)


def frontier_lines(report: Report, everything: bool) -> Lines:
    """The body of the report, below its verdict."""
    rows, audit = report.frontier or (), report.audit or ()
    lines: Lines = ["", *table(FRONTIER_HEADER, map(frontier_cells, rows))]
    shown, title = _layers(rows, audit, everything)
    lines += [
        "",
        title,
        *table(AUDIT_HEADER, map(scheme_cells, shown[: _cut(everything)]), left="ll"),
    ]
    left = len(audit) - len(shown[: _cut(everything)])
    if left > 0:
        lines.append(f"... (--all: {count(len(audit), 'row')})")
    lines += ["", *_legend(report)]
    if written := report.provenance.get("written"):
        lines += _written(report, str(written))
    return lines


def _cut(everything: bool) -> int | None:
    return None if everything else _ROWS


def frontier_cells(row: FrontierRow) -> tuple[str, ...]:
    """The row of an assignment: what it is, its size, and what it does."""
    mark = " <- chosen" if row.chosen else ""
    return (
        f"{mixture(row.assignment)}{mark}",
        bits(row.bits_per_weight),
        quantity(row.deviation),
        without_error(row.predicted),
    )


def scheme_cells(row: AuditRow) -> tuple[str, ...]:
    """The row of a layer under a scheme."""
    return (
        row.layer or "''",
        row.scheme,
        "–" if row.bits_per_weight is None else bits(row.bits_per_weight),
        quantity(row.distance),
        without_error(row.measured),
        "–" if row.predicted is None else without_error(row.predicted),
        row.verdict.replace("_", " "),
    )


def _layers(
    rows: Sequence[FrontierRow], audit: Sequence[AuditRow], everything: bool
) -> tuple[list[AuditRow], str]:
    """The rows of layers to show, the largest effect first, and what they are."""
    ordered = sorted(audit, key=_effect, reverse=True)
    chosen = next((row for row in rows if row.chosen), None)
    if chosen is not None and not everything:
        own = [row for row in ordered if chosen.assignment.get(row.layer) == row.scheme]
        if own:
            return own, "the layers that are compressed, as chosen, each alone:"
    return ordered, "each layer alone:"


def _effect(row: AuditRow) -> tuple[float, float]:
    return _number(row.measured), _number(row.distance)


def _number(value: Quantity) -> float:
    number = point(value)
    return -1.0 if number is None else number


def _legend(report: Report) -> Lines:
    settings = report.provenance["settings"]
    few = report.provenance.get("layer_inputs")
    if few is None:
        text = "outputs were not measured: add --model and --inputs to see what they do."
    else:
        text = (
            "outputs move: mean relative deviation, measured; mixtures on all inputs, layers on "
            f"the first {few:,}. predicted: the layers' own deviations as if independent. first "
            "order: an estimate, root mean square, of an error of that size spread at random."
        )
        if settings.get("budget") is None:
            text += " --budget 5% finds the cheapest that keeps to it."
    text += " bits: codes, scales and masks, over the weights; all else stays as it is."
    broken = sum(row.verdict == "broken" for row in report.audit or ())
    if broken:
        text += " broken: a weight moves by half of its size or more."
    return paragraph(text)


def _written(report: Report, written: str) -> Lines:
    size = int(report.provenance.get("written_bytes", 0))
    kinds = report.provenance.get("written_as", {})
    ways = ", ".join(f"{number:,} {name}" for name, number in kinds.items())
    config = report.provenance.get("written_config", "")
    return paragraph(f"written: {written} ({size / 1e6:.3g} MB): {ways}. config: {config}.")
