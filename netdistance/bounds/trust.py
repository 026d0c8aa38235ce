"""Deep relative trust: a model of how far the function may move, never a bound.

Bernstein, Vahdat, Yue and Liu 2020 (arXiv 2002.03432) model the relative change of a network by
prod_l (1 + r_l) - 1, where r_l is the relative Frobenius change of weight matrix l. The constant
that would make it a theorem is dropped, so it can be violated, and is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from netdistance.pairing.match import Pairing
from netdistance.quantities import Exact, Quantity, Skipped, point
from netdistance.report.document import BoundRow, Over, TensorRow

MODEL = "a model, not a bound: the constant that would make it a theorem is left out"


def log1p_sum(relative: Iterable[float]) -> float:
    """The sum of log(1 + r_l): the primary number, which no real pair overflows.

    >>> log1p_sum([0.0, 0.0])
    0.0
    """
    return math.fsum(map(math.log1p, relative))


def trust_from_log1p_sum(total: float) -> Exact | Skipped:
    """prod_l (1 + r_l) - 1 from the sum of log(1 + r_l); exact at small r, skipped on overflow.

    >>> round(trust_from_log1p_sum(log1p_sum([0.5, 1.0])).value, 12)
    2.0
    """
    try:
        return Exact(math.expm1(total))
    except OverflowError:
        return Skipped(f"overflows float64: log1p_sum is {total:.6g}")


def log10_trust(total: float) -> Exact | Skipped:
    """log10(prod_l (1 + r_l) - 1) from the sum of log(1 + r_l), also where the product overflows.

    >>> round(log10_trust(2000 * math.log1p(1.5)).value, 6)
    795.880017
    """
    if total <= 0.0:
        return Skipped("trust is zero: nothing moved")
    # above 40, expm1(t) and exp(t) agree to the last bit of float64
    return Exact(total / math.log(10.0) if total > 40.0 else math.log10(math.expm1(total)))


def is_weight(row: TensorRow) -> bool:
    """Whether a row counts in deep relative trust: floating point, with two or more axes."""
    return len(row.shape) >= 2 and (row.encoding_a or "").startswith(("F", "BF"))


def trust_row(rows: Sequence[TensorRow], pairing: Pairing) -> BoundRow:
    """Deep relative trust over the weights of `rows`; partial where weights are missing.

    Weights that are unmatched, reshaped or unreadable stay out of the product and are named in its
    assumptions; one without a relative change (a zero reference, NaN) makes the product skipped.
    """
    unreadable = [pair.name for pair in pairing.pairs if pair.unreadable is not None]
    weights = [row for row in rows if is_weight(row) and row.name not in set(unreadable)]
    relative = {row.name: row.metrics["relative_frobenius"] for row in weights}
    skipped = [f"{name}: {q.reason}" for name, q in relative.items() if isinstance(q, Skipped)]
    assumptions = [MODEL, f"product over {len(weights)} weights"]
    for reason, names in (
        ("unmatched or reshaped", pairing.lonely_weights),
        ("unreadable", unreadable),
    ):
        if names:
            assumptions.append(f"partial, without the {reason}: {', '.join(names)}")
    if not weights:
        return modelled_row(Skipped("no weight with two or more axes was compared"), assumptions)
    if skipped:
        return modelled_row(Skipped(f"a weight has no relative change: {skipped[0]}"), assumptions)
    total = log1p_sum(value for q in relative.values() if (value := point(q)) is not None)
    return trust_of_sum(total, assumptions)


def trust_of_sum(
    total: float, assumptions: Sequence[str], *, over: Over = "known", inputs: int | None = None
) -> BoundRow:
    """The row for a known sum of log(1 + r_l)."""
    return modelled_row(
        trust_from_log1p_sum(total),
        assumptions,
        over=over,
        inputs=inputs,
        log1p_sum=Exact(total),
        log10=log10_trust(total),
    )


def modelled_row(
    value: Quantity,
    assumptions: Sequence[str],
    *,
    over: Over = "known",
    inputs: int | None = None,
    log1p_sum: Quantity | None = None,
    log10: Quantity | None = None,
) -> BoundRow:
    """A modelled row, its measurement not yet known."""
    return BoundRow(
        name="deep_relative_trust",
        standing="modelled",
        over=over,
        inputs=inputs,
        value=value,
        measured=Skipped("needs --model and --inputs"),
        assumptions=tuple(assumptions),
        log1p_sum=log1p_sum,
        log10=log10,
    )


def with_shares(rows: Sequence[TensorRow], trust: BoundRow) -> tuple[TensorRow, ...]:
    """The rows with `trust_share`: a weight's log(1 + r_l) as a fraction of the sum over all.

    Skipped where `trust` is: a share of an unknown whole is none.
    """
    changes = {
        row.name: math.log1p(value)
        for row in rows
        if is_weight(row) and (value := point(row.metrics["relative_frobenius"])) is not None
    }
    total = math.fsum(changes.values())

    def share(name: str) -> Quantity:
        if trust.log1p_sum is None:
            return Skipped("deep relative trust is skipped")
        return Exact(changes[name] / total) if total else Skipped("nothing moved")

    return tuple(
        replace(row, metrics={**row.metrics, "trust_share": share(row.name)})
        if row.name in changes
        else row
        for row in rows
    )
