"""Deep relative trust: its formula at every size, and what it leaves out and says so."""

from __future__ import annotations

import math
from dataclasses import replace

import mpmath
import pytest

from netdistance.bounds.trust import (
    SPECTRAL_TRUST,
    log1p_sum,
    log10_trust,
    trust_along,
    trust_from_log1p_sum,
    trust_of_sum,
    trust_row,
    with_shares,
)
from netdistance.checkpoints.base import TensorSpec
from netdistance.pairing.match import Pairing, TensorPair
from netdistance.quantities import Exact, Interval, Quantity, Skipped
from netdistance.report.document import TensorRow

NOTHING = Pairing((), (), (), (), ())


def row(
    name: str, change: Quantity, *, shape: tuple[int, ...] = (2, 2), kind: str = "F32"
) -> TensorRow:
    return TensorRow(name, shape, kind, kind, name, {"relative_frobenius": change})


def product(relative: list[float]) -> mpmath.mpf:
    """prod (1 + r) - 1 as the paper writes it (arXiv 2002.03432), in 60 digits."""
    with mpmath.workdps(60):
        return mpmath.fprod(1 + mpmath.mpf(r) for r in relative) - 1


def agrees(found: Quantity, relative: list[float]) -> bool:
    with mpmath.workdps(60):
        expected = product(relative)
        return isinstance(found, Exact) and abs(found.value - expected) <= 1e-13 * expected


def close(found: object, value: float) -> bool:
    """Whether a quantity is exact and this number, up to rounding."""
    return isinstance(found, Exact) and math.isclose(found.value, value, rel_tol=1e-14)


CHANGES = ([0.25], [1e-17], [1e-17] * 100, [0.1] * 50, [1.5] * 200, [0.0, 3.0], [1e-9, 1e9])


@pytest.mark.parametrize("relative", CHANGES, ids=str)
def test_trust_is_the_product(relative: list[float]) -> None:
    total = log1p_sum(relative)
    assert agrees(trust_from_log1p_sum(total), relative)
    log = log10_trust(total)
    with mpmath.workdps(60):
        expected = mpmath.log10(product(relative))
    assert isinstance(log, Exact)
    assert log.value == pytest.approx(float(expected), rel=1e-12)


def test_a_planted_fault_of_trust_is_found() -> None:
    naive = Exact(math.prod(1 + r for r in [1e-17]) - 1)
    assert not agrees(naive, [1e-17])
    assert not agrees(Exact(0.25 * (1 + 1e-12)), [0.25])
    assert not agrees(Skipped("x"), [0.25])


def test_one_layer_is_its_own_change_and_no_change_is_zero() -> None:
    assert close(trust_from_log1p_sum(log1p_sum([0.5])), 0.5)
    assert trust_from_log1p_sum(0.0) == Exact(0.0)
    assert log10_trust(0.0) == Skipped("trust is zero: nothing moved")


def test_trust_is_monotone_and_at_least_the_sum() -> None:
    changes = [0.1, 0.2, 0.3]
    base = trust_from_log1p_sum(log1p_sum(changes))
    assert isinstance(base, Exact) and base.value >= sum(changes)
    for index in range(3):
        more = [c + 0.01 * (i == index) for i, c in enumerate(changes)]
        moved = trust_from_log1p_sum(log1p_sum(more))
        assert isinstance(moved, Exact) and moved.value > base.value
    assert log1p_sum([*changes, 0.0]) == log1p_sum(changes)


def test_overflow_is_skipped_and_the_logarithm_stays() -> None:
    found = trust_row([row("w", Exact(1.5e300)), row("v", Exact(1.5e300))], NOTHING)
    assert isinstance(found.value, Skipped) and "log1p_sum is 1382" in found.value.reason
    assert close(found.log10, 2 * math.log10(1.5e300))
    assert close(found.log1p_sum, 2 * math.log(1.5e300))


def test_only_floating_point_tensors_with_two_axes_count() -> None:
    rows = [
        row("w", Exact(1.0)),
        row("bias", Exact(9.0), shape=(2,)),
        row("scalar", Exact(9.0), shape=()),
        row("codes", Exact(0.0), kind="I64"),
        row("complex", Exact(9.0), kind="C64"),
        row("flags", Exact(0.0), kind="BOOL"),
        row("conv", Exact(0.5), shape=(2, 2, 3, 3), kind="BF16"),
        row("fp8", Exact(0.0), kind="F8_E4M3"),
    ]
    found = trust_row(rows, NOTHING)
    assert close(found.value, 2.0)
    assert (found.name, found.standing, found.over) == ("deep_relative_trust", "modelled", "known")
    assert found.assumptions[1] == "product over 3 weights"


def test_what_is_missing_is_named() -> None:
    spec = TensorSpec("q", (2, 2), "F6_E2M3", 3)
    unreadable = TensorPair("q", spec, spec, "in a: no decoder")
    pairing = Pairing((unreadable,), ("gone",), (), (), ("gone",))
    rows = [row("w", Exact(1.0)), row("q", Skipped("in a: no decoder"), kind="F6_E2M3")]
    found = trust_row(rows, pairing)
    assert close(found.value, 1.0)
    assert "partial, without the unmatched or reshaped: gone" in found.assumptions
    assert "partial, without the unreadable: q" in found.assumptions


@pytest.mark.parametrize("reason", ["the reference is zero", "non-finite elements: 1 in a, 0 in b"])
def test_a_weight_without_a_change_makes_trust_skipped(reason: str) -> None:
    found = trust_row([row("w", Exact(1.0)), row("v", Skipped(reason))], NOTHING)
    assert found.value == Skipped(f"a weight has no relative change: v: {reason}")
    assert (found.log1p_sum, found.log10) == (None, None)


def test_no_weight_is_skipped() -> None:
    found = trust_row([row("bias", Exact(1.0), shape=(3,))], NOTHING)
    assert found.value == Skipped("no weight with two or more axes was compared")


def test_shares_add_up_to_one() -> None:
    rows = [row("w", Exact(0.1)), row("v", Exact(0.3)), row("b", Exact(0.5), shape=(1,))]
    shared = with_shares([*rows, row("x", Skipped("the reference is zero"))], trust_of_sum(1.0, []))
    shares = [r.metrics.get("trust_share") for r in shared]
    assert shares[2:] == [None, None]
    assert close(shares[0], math.log(1.1) / math.log(1.43))
    assert sum(s.value for s in shares if isinstance(s, Exact)) == pytest.approx(1.0)
    still = with_shares([row("w", Exact(0.0))], trust_of_sum(0.0, []))
    assert still[0].metrics["trust_share"] == Skipped("nothing moved")


def test_a_share_of_a_skipped_trust_is_skipped() -> None:
    rows = [row("w", Exact(0.1)), row("v", Skipped("NaN"))]
    (share, _) = (r.metrics.get("trust_share") for r in with_shares(rows, trust_row(rows, NOTHING)))
    assert share == Skipped("deep relative trust is skipped")


def test_a_tied_tensor_counts_once_and_its_share_says_where() -> None:
    rows = [row("embed", Exact(0.5)), replace(row("head", Exact(0.5)), tied_to="embed")]
    found = trust_row(rows, NOTHING)
    assert close(found.value, 0.5)
    assert "product over 1 weight" in found.assumptions
    assert "1 tied tensor counted once" in found.assumptions
    first, second = (r.metrics["trust_share"] for r in with_shares(rows, found))
    assert (first, second) == (Exact(1.0), Skipped("tied to embed, and counted there"))


ENDS = ([(0.1, 0.2), (1e-9, 2e-9)], [(1.5, 1.6)] * 300, [(0.0, 0.0), (1e-17, 2e-17)])


def spectral(name: str, lower: float, upper: float) -> TensorRow:
    change = Exact(upper) if lower == upper else Interval(lower, upper)
    return replace(row(name, Exact(9.0)), metrics={"relative_spectral": change})


@pytest.mark.parametrize("ends", ENDS, ids=str)
@pytest.mark.parametrize("t", [1.0, 0.1])
def test_the_spectral_sibling_holds_the_products_of_both_ends(
    ends: list[tuple[float, float]], t: float
) -> None:
    rows = [spectral(f"{place}.w", *pair) for place, pair in enumerate(ends)]
    found = trust_along(trust_row(rows, NOTHING, SPECTRAL_TRUST), rows, t)
    assert (found.name, found.standing) == ("spectral_trust", "modelled")
    assert isinstance(found.value, Interval)
    with mpmath.workdps(60):
        lower, upper = (product([t * pair[side] for pair in ends]) for side in (0, 1))
        assert found.value.lower <= lower and upper <= found.value.upper
        assert found.value.upper <= upper * (1 + mpmath.mpf("1e-11"))
        assert isinstance(found.log10, Interval)
        assert found.log10.lower <= mpmath.log10(lower) <= mpmath.log10(upper) <= found.log10.upper


def test_the_spectral_sibling_keeps_its_sum_where_it_overflows() -> None:
    rows = [spectral(f"{place}.w", 1e300, 1.1e300) for place in range(3)]
    found = trust_row(rows, NOTHING, SPECTRAL_TRUST)
    assert isinstance(found.value, Skipped) and "overflows" in found.value.reason
    assert isinstance(found.log1p_sum, Interval) and isinstance(found.log10, Interval)


def test_confidences_meet_in_the_spectral_sibling() -> None:
    rows = [
        replace(spectral(name, 0.1, 0.2), metrics={"relative_spectral": Interval(0.1, 0.2, 0.99)})
        for name in "vw"
    ]
    found = trust_row(rows, NOTHING, SPECTRAL_TRUST).value
    assert isinstance(found, Interval) and found.confidence == pytest.approx(0.98)
