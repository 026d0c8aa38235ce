"""Thresholds: how they are read, what they judge, and that nothing unknown passes."""

from __future__ import annotations

import pytest

from netdistance.errors import UsageError
from netdistance.quantities import Estimate, Exact, Interval, Quantity, Skipped
from netdistance.report.document import (
    BoundRow,
    DeviationRow,
    NonFinite,
    PairingAccount,
    Report,
    Reshaped,
    SkippedTensor,
    TensorRow,
    Verdict,
)
from netdistance.report.thresholds import Condition, judge, report_values


def failures(expression: str, *values: Quantity) -> tuple[str, ...]:
    """The places, numbered, that fail an expression."""
    rows = [(str(index), value) for index, value in enumerate(values)]
    metric = Condition.parse(expression).metric
    return Condition.parse(expression).judge({metric: rows}).failures


@pytest.mark.parametrize(
    ("expression", "symbol", "limit"),
    [
        ("m>0.1", ">", 0.1),
        (" m >= -1e-3 ", ">=", -1e-3),
        ("m<.5", "<", 0.5),
        ("m<=+2.", "<=", 2.0),
        ("m > 1E3", ">", 1000.0),
    ],
)
def test_an_expression_is_read(expression: str, symbol: str, limit: float) -> None:
    found = Condition.parse(expression)
    assert (found.expression, found.metric) == (expression, "m")
    assert (found.symbol, found.limit) == (symbol, limit)


@pytest.mark.parametrize(
    "expression",
    ["", "m", "m>", ">1", "m=1", "m==1", "m>>1", "m>1>2", "m>nan", "m>inf", "m>1e", "m>1 2",
     "m>--1", "a b>1", "m>0x10", "m>1\nm>2", "m>1,5", "m>1e999"],
)  # fmt: skip
def test_anything_else_is_refused(expression: str) -> None:
    with pytest.raises(UsageError, match="cannot read the threshold"):
        Condition.parse(expression)


def test_each_place_is_judged() -> None:
    values = (Exact(0.5), Exact(1.0), Exact(2.0))
    assert failures("m>1", *values) == ("2",)
    assert failures("m>=1", *values) == ("1", "2")
    assert failures("m<1", *values) == ("0",)
    assert failures("m<=1", *values) == ("0", "1")
    assert failures("m>2", *values) == ()


@pytest.mark.parametrize("symbol", [">", ">=", "<", "<="])
def test_a_skipped_value_always_fails(symbol: str) -> None:
    assert failures(f"m{symbol}1", Skipped("the reference is zero")) == ("0",)


def test_no_noise_at_all_is_an_infinite_ratio() -> None:
    assert failures("sqnr_db<1e300", Skipped("identical")) == ()
    assert failures("sqnr_db>1e300", Skipped("identical")) == ("0",)


def test_an_interval_fails_where_either_end_does() -> None:
    for expression, failed in (("m>2", True), ("m<2", True), ("m>3", False), ("m<1", False)):
        assert bool(failures(expression, Interval(1.0, 3.0))) is failed


def test_an_estimate_is_judged_by_its_value() -> None:
    assert failures("m>1", Estimate(1.1, 0.5), Estimate(0.9, 0.5)) == ("0",)


def row(name: str, value: Quantity) -> TensorRow:
    return TensorRow(name, (2, 2), "F32", "F32", name, {"change": value})


def report(pairing: PairingAccount | None = None) -> Report:
    return Report(
        study="compare",
        provenance={},
        verdict=Verdict(""),
        pairing=pairing,
        tensors=(row("w", Exact(1.0)), row("v", Exact(3.0))),
        bounds=(BoundRow("trust", "modelled", "known", None, Exact(7.0), Skipped("")),),
        deviation=(DeviationRow("output", Estimate(0.5, 0.1)),),
    )


def test_metrics_bounds_and_deviations_have_names() -> None:
    values = report_values(report())
    assert [place for place, _ in values["change"]] == ["w", "v"]
    assert values["trust"] == [("trust", Exact(7.0))]
    assert values["output"] == [("output", Estimate(0.5, 0.1))]


def test_an_unknown_name_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UsageError, match=r"no number is called 'beauty'.*change, output, trust"):
        judge(report(), [Condition.parse("beauty>1")], require_all=False)


def test_judging_keeps_the_order_asked() -> None:
    conditions = [Condition.parse(text) for text in ("change>2", "trust>9", "output>0.4")]
    judged = judge(report(), conditions, require_all=False)
    assert [(t.expression, t.passed, t.failures) for t in judged] == [
        ("change>2", False, ("v",)),
        ("trust>9", True, ()),
        ("output>0.4", False, ("output",)),
    ]


@pytest.mark.parametrize(
    "account",
    [
        PairingAccount(1, 0, only_a=("x",)),
        PairingAccount(1, 0, only_b=("x",)),
        PairingAccount(1, 0, reshaped=(Reshaped("x", (1,), (2,)),)),
        PairingAccount(1, 0, skipped=(SkippedTensor("x", "no decoder"),)),
        PairingAccount(
            1,
            0,
            skipped=(SkippedTensor("x", "non-finite"),),
            non_finite=(NonFinite("x", 1, 0),),
        ),
    ],
)
def test_require_all_fails_by_anything_left_out(account: PairingAccount) -> None:
    (threshold,) = judge(report(account), [], require_all=True)
    assert (threshold.expression, threshold.passed) == ("--require-all", False)
    assert threshold.failures == ("x",)
    assert judge(report(account), [], require_all=False) == ()


def test_require_all_holds_where_nothing_is_left_out() -> None:
    (threshold,) = judge(report(PairingAccount(2, 1)), [], require_all=True)
    assert (threshold.passed, threshold.failures) == (True, ())


def test_identical_is_infinite_for_the_signal_to_noise_ratio_alone() -> None:
    identical = Skipped("identical")
    assert failures("sqnr_db<20", identical) == ()
    assert failures("sqnr_db>20", identical) == ("0",)
    for expression in ("stable_rank_change<2", "stable_rank_change>5"):
        assert failures(expression, identical) == ("0",)
