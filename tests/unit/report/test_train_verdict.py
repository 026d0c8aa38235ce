"""The first line of a training comparison."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netdistance.quantities import Exact
from netdistance.report.train_verdict import train_verdict
from tests.unit.report.train_cases import training


@pytest.mark.parametrize(
    ("trusts", "told"),
    [
        ((1034.0, 1251.0), "at x 1,030 to 1,250."),
        ((3.0, 3.0), "at x 3.00."),
        ((3.0, 3.001), "at x 3.00."),
        ((0.012,), "at x 0.0120."),
    ],
)
def test_trust_is_told_as_people_read_it(trusts: tuple[float, ...], told: str) -> None:
    (run, *_) = training({}, "fromage").runs or ()
    runs = [
        replace(run, seed=seed, trust_from_start=Exact(trust)) for seed, trust in enumerate(trusts)
    ]
    assert told in train_verdict(runs)
