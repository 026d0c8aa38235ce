"""Spearman's rank correlation against the definition by counting, and what is ranked."""

from __future__ import annotations

import math
import random

import pytest

from netdistance.quantities import Estimate, Exact, Quantity, Skipped
from netdistance.report.document import AttributionRow
from netdistance.report.rank_correlation import rank_correlation, spearman
from tests.unit.report.case_reports import tensor


def twin(first: list[float], second: list[float]) -> float:
    """Pearson's correlation of ranks that are counted: those below, and half of those equal."""

    def rank(values: list[float]) -> list[float]:
        return [sum(w < v for w in values) + sum(w == v for w in values) / 2 for v in values]

    x, y = rank(first), rank(second)
    middle = sum(x) / len(x)
    moment = [(p - middle, q - middle) for p, q in zip(x, y, strict=True)]
    norm = math.sqrt(sum(p * p for p, _ in moment) * sum(q * q for _, q in moment))
    return sum(p * q for p, q in moment) / norm


@pytest.mark.parametrize("seed", range(20))
def test_it_equals_its_twin_with_and_without_ties(seed: int) -> None:
    draw = random.Random(seed)
    values = range(6) if seed % 2 else range(10_000)
    first, second = ([float(draw.choice(values)) for _ in range(30)] for _ in range(2))
    found = spearman(first, second)
    assert isinstance(found, Exact)
    assert found.value == pytest.approx(twin(first, second), abs=1e-12)


def test_known_orders() -> None:
    assert spearman([1.0, 2.0, 3.0], [2.0, 4.0, 400.0]) == Exact(1.0)
    assert spearman([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]) == Exact(-1.0)
    assert isinstance(spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]), Skipped)


def test_layers_with_a_share_and_a_measurement_are_ranked() -> None:
    shares = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4, "still": 0.0}
    rows = [tensor(f"{name}.weight", Exact(1.0), Exact(share)) for name, share in shares.items()]
    rows.append(tensor("norm.weight", Exact(9.0)))
    values: dict[str, Quantity] = {
        "a": Estimate(1.0, 0.1), "b": Estimate(2.0, 0.1), "c": Estimate(3.0, 0.1),
        "d": Skipped("too many"), "still": Exact(0.0), "norm": Estimate(0.5, 0.1),
    }  # fmt: skip
    found = [AttributionRow(name, "swap_in", value, 4) for name, value in values.items()]
    other = [AttributionRow(name, "swap_out", Exact(-1.0), 4) for name in values]
    assert rank_correlation(rows, [*found, *other]) == Exact(1.0)
    assert isinstance(rank_correlation(rows, found[:2]), Skipped)
