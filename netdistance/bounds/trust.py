"""Deep relative trust: a model of how far the function may move, never a bound.

Bernstein, Vahdat, Yue and Liu 2020 (arXiv 2002.03432) model the relative change of a network by
prod_l (1 + r_l) - 1, where r_l is the relative Frobenius change of weight matrix l. The constant
that would make it a theorem is dropped, so it can be violated, and is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from netdistance.linalg.interval_arithmetic import together
from netdistance.pairing.match import Pairing
from netdistance.quantities import Exact, Interval, Quantity, Skipped, point
from netdistance.report.document import BoundRow, Over, TensorRow
from netdistance.report.wording import count

MODEL = "a model, not a bound: the constant that would make it a theorem is left out"
# log1p, expm1 and log10 are off by at most 2 units in the last place, fsum and t * r by one
# rounding each: 8u relative covers them
_SLACK = 2.0**-50

Known = Exact | Interval


@dataclass(frozen=True, slots=True)
class Trust:
    """A product of (1 + change) over the weights: the name of its row, and which change it takes.

    The spectral sibling takes |d|_2 / |a|_2, which is proved as an interval, and so is its product:
    what is modelled is to read it as a deviation of outputs.
    """

    name: str
    metric: str


DEEP_RELATIVE_TRUST = Trust("deep_relative_trust", "relative_frobenius")
SPECTRAL_TRUST = Trust("spectral_trust", "relative_spectral")
TRUSTS = {trust.name: trust for trust in (DEEP_RELATIVE_TRUST, SPECTRAL_TRUST)}


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
    """Whether a row counts in deep relative trust: floating point, two or more axes, not tied."""
    is_decoded = row.decoding_a is not None  # packed weights are decoded to floating point
    floating = is_decoded or (row.encoding_a or "").startswith(("F", "BF"))
    return len(row.shape) >= 2 and floating and row.tied_to is None


def trust_row(
    rows: Sequence[TensorRow], pairing: Pairing, trust: Trust = DEEP_RELATIVE_TRUST
) -> BoundRow:
    """Trust over the weights of `rows`; partial where weights are missing.

    Weights that are unmatched, reshaped or unreadable stay out of the product and are named in its
    assumptions; one without a relative change (a zero reference, NaN) makes the product skipped.
    """
    unreadable = [pair.name for pair in pairing.pairs if pair.unreadable and pair.a.is_weight]
    weights = [row for row in rows if is_weight(row) and row.name not in set(unreadable)]
    relative = {row.name: row.metrics[trust.metric] for row in weights}
    skipped = [f"{name}: {q.reason}" for name, q in relative.items() if isinstance(q, Skipped)]
    assumptions = [MODEL, f"product over {count(len(weights), 'weight')}"]
    tied = sum(row.tied_to is not None for row in rows)
    if tied:
        assumptions.append(f"{count(tied, 'tied tensor')} counted once")
    for reason, names in (
        ("unmatched or reshaped", pairing.lonely_weights),
        ("unreadable", unreadable),
    ):
        if names:
            assumptions.append(f"partial, without the {reason}: {', '.join(names)}")
    if not weights:
        why = "no weight with two or more axes was compared"
    elif skipped:
        why = f"a weight has no relative change: {skipped[0]}"
    else:
        return trust_of_sum(total_of(relative.values()), assumptions, name=trust.name)
    return modelled_row(Skipped(why), assumptions, name=trust.name)


def trust_rows(
    rows: Sequence[TensorRow], pairing: Pairing, *, spectral: bool
) -> tuple[BoundRow, ...]:
    """Deep relative trust, and its spectral sibling where spectral distances were measured."""
    found = (DEEP_RELATIVE_TRUST, SPECTRAL_TRUST) if spectral else (DEEP_RELATIVE_TRUST,)
    return tuple(trust_row(rows, pairing, trust) for trust in found)


def trust_along(whole: BoundRow, rows: Sequence[TensorRow], t: float) -> BoundRow:
    """The row of the change from a to a + t(b - a), from the row at t = 1: each change times t."""
    if whole.log1p_sum is None:
        return whole
    metric = TRUSTS[whole.name].metric
    total = total_of((row.metrics[metric] for row in rows if is_weight(row)), t)
    return trust_of_sum(total, whole.assumptions, name=whole.name)


def total_of(changes: Iterable[Quantity], t: float = 1.0) -> Known:
    """The sum of log(1 + t r), an interval where a change is one; skipped changes are left out."""
    known = [change for change in changes if isinstance(change, Exact | Interval)]
    intervals = [change for change in known if isinstance(change, Interval)]
    upper = log1p_sum(t * value for q in known if (value := point(q)) is not None)
    if not intervals:
        return Exact(upper)
    lower = log1p_sum(t * (q.value if isinstance(q, Exact) else q.lower) for q in known)
    return Interval(lower * (1.0 - _SLACK), upper * (1.0 + _SLACK), together(intervals))


def trust_of_sum(
    total: float | Known,
    assumptions: Sequence[str],
    *,
    name: str = DEEP_RELATIVE_TRUST.name,
    over: Over = "known",
    inputs: int | None = None,
) -> BoundRow:
    """The row for a known sum of log(1 + r_l)."""
    total = total if isinstance(total, Exact | Interval) else Exact(total)
    return modelled_row(
        _of_ends(trust_from_log1p_sum, total),
        assumptions,
        name=name,
        over=over,
        inputs=inputs,
        log1p_sum=total,
        log10=_of_ends(log10_trust, total),
    )


def _of_ends(function: Callable[[float], Exact | Skipped], total: Known) -> Quantity:
    """A growing function of the sum, over its interval where it is one; skipped as its upper end.

    Both ends of the result are moved outward, past the rounding of the function.
    """
    if isinstance(total, Exact):
        return function(total.value)
    lower, upper = function(total.lower), function(total.upper)
    if isinstance(upper, Skipped):
        return upper
    if isinstance(lower, Skipped):
        return Skipped("its lower end is zero or overflows: see log1p_sum")
    slack = _SLACK * max(abs(lower.value), abs(upper.value))
    floor = 0.0 if function is trust_from_log1p_sum else -math.inf
    ends = max(floor, lower.value - slack), upper.value + slack
    return Interval(*ends, total.confidence)


def modelled_row(
    value: Quantity,
    assumptions: Sequence[str],
    *,
    name: str = DEEP_RELATIVE_TRUST.name,
    over: Over = "known",
    inputs: int | None = None,
    log1p_sum: Quantity | None = None,
    log10: Quantity | None = None,
) -> BoundRow:
    """A modelled row, its measurement not yet known."""
    return BoundRow(
        name=name,
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

    Skipped where `trust` is: a share of an unknown whole is none. A tied tensor has no share of its
    own: the tensor that has its elements has it.
    """
    changes = {
        row.name: math.log1p(value)
        for row in rows
        if is_weight(row) and (value := point(row.metrics["relative_frobenius"])) is not None
    }
    total = math.fsum(changes.values())

    def share(row: TensorRow) -> Quantity:
        if row.tied_to is not None:
            return Skipped(f"tied to {row.tied_to}, and counted there")
        if trust.log1p_sum is None:
            return Skipped("deep relative trust is skipped")
        return Exact(changes[row.name] / total) if total else Skipped("nothing moved")

    return tuple(
        replace(row, metrics={**row.metrics, "trust_share": share(row)})
        if row.name in changes or row.tied_to in changes
        else row
        for row in rows
    )
