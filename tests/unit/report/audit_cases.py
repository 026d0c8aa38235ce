"""Reports of an audit for the renderers: with and without outputs, and with hostile names."""

from __future__ import annotations

from netdistance.quantities import Estimate, Exact, Quantity, Skipped
from netdistance.report.audit_rows import AuditRow, AuditVerdict, KeepRow
from netdistance.report.document import DeviationRow, PairingAccount, Report, Verdict

_VERDICTS: tuple[AuditVerdict, ...] = (
    "rounding", "more_than_rounding", "broken", "not_compared", "lossless",
)  # fmt: skip


def _row(layer: str, place: int, measured: Quantity) -> AuditRow:
    verdict = _VERDICTS[place % len(_VERDICTS)]
    open_row = verdict == "not_compared"
    return AuditRow(
        layer=layer,
        scheme="gptq 4-bit, groups of 128",
        rounding_of=None if open_row or verdict == "lossless" else "int4",
        bits_per_weight=None if open_row else 4.25,
        distance=Skipped("nothing faces it") if open_row else Exact(0.1 + 0.01 * place),
        measured=Exact(0.0) if verdict == "lossless" else measured,
        verdict=verdict,
        reason=None if verdict in ("rounding", "lossless") else f"moved {place}.5 x its floor",
        floor=None if open_row or verdict == "lossless" else Exact(0.1),
    )


def audited(*names: str, measured: bool) -> Report:
    """A row for each name, of every verdict in turn."""
    cost: Quantity = Estimate(0.02, 0.001) if measured else Skipped("needs --model and --inputs")
    kept = (
        KeepRow(names[0], Estimate(0.04, 0.002), Estimate(0.041, 0.001), 4.5),
        KeepRow(names[-1], Estimate(0.01, 0.002), Estimate(0.031, 0.001), None),
    )
    return Report(
        study="audit",
        provenance={"netdistance": "0.1.0", "files": []},
        verdict=Verdict("2 of 5 layers are damaged beyond their 4-bit rounding."),
        pairing=PairingAccount(len(names), 1),
        deviation=(
            (DeviationRow("relative_output_deviation", Estimate(0.081, 0.002)),)
            if measured
            else None
        ),
        audit=tuple(_row(name, place, cost) for place, name in enumerate(names)),
        keep=kept if measured else None,
    )
