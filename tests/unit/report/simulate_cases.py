"""Reports of simulated compression, for the laws over every renderer."""

from __future__ import annotations

from collections.abc import Mapping

from netdistance.quantities import Estimate, Exact, Quantity, Skipped
from netdistance.report.audit_rows import AuditRow, FrontierRow
from netdistance.report.document import Report, TensorRow, Verdict

WROTE = {
    "written": "<b>.safetensors",
    "written_bytes": 1_000_000,
    "written_as": {"int-quantized": 2},
    "written_config": "none stands there",
}
NEEDS = Skipped("needs --model <b> and --inputs")


def simulation(
    provenance: Mapping[str, object],
    *layers: str,
    measured: Quantity | None = None,
    budget: str | None = "5%",
) -> Report:
    """Every layer under two schemes, three assignments; `measured` is every effect where given."""
    audit = tuple(
        AuditRow(
            layer=layer,
            scheme=scheme,
            rounding_of=floor,
            bits_per_weight=width + 0.25,
            distance=Exact(0.5 / width),
            measured=measured or Estimate(0.01 * (place + 1), 0.001),
            verdict="rounding" if floor else "broken",
            reason="1.0 x what <int8> rounding does",
            predicted=measured or Estimate(0.02, 0.001),
        )
        for place, layer in enumerate(layers)
        for scheme, floor, width in (("int8", "int8", 8.0), ("prune-0.9", None, 4.2))
    )
    where = {} if measured else {"layer_inputs": 16, "estimate_inputs": 16}
    return Report(
        study="simulate",
        provenance={**provenance, **where, **WROTE, "settings": {"budget": budget}},
        verdict=Verdict("8.25 bits per weight instead of 32 keep the outputs within 5%."),
        tensors=tuple(TensorRow(name, (3, 4), "F32", None, name, {}) for name in layers),
        audit=audit,
        frontier=_frontier(layers, measured, budget),
    )


def _frontier(
    layers: tuple[str, ...], measured: Quantity | None, budget: str | None
) -> tuple[FrontierRow, ...]:
    """Four assignments, of which the second is chosen where there is a budget."""
    return tuple(
        FrontierRow(
            bits_per_weight=size,
            deviation=measured or Estimate(move, 0.001),
            predicted=measured or Estimate(move, 0.0),
            assignment=dict.fromkeys(layers, scheme) | {layers[0]: first},
            meets_budget=None if budget is None else move <= 0.05,
            chosen=budget is not None and move == 0.03,
        )
        for size, move, scheme, first in (
            (32.0, 0.0, "as it is", "as it is"),
            (8.25, 0.03, "int8", "int8"),
            (5.5, 0.07, "prune-0.9", "int8"),
            (4.45, 0.2, "prune-0.9", "prune-0.9"),
        )
    )
