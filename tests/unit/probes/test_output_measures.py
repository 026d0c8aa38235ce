"""KL, margins, losses and their statistics against slow twins in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from netdistance.errors import InputError
from netdistance.networks.batch import Arguments
from netdistance.networks.load import Network
from netdistance.probes import output_measures
from netdistance.probes.deviation import Reference
from netdistance.probes.output_measures import (
    IGNORED,
    cross_entropy,
    deviation_rows,
    kl_divergence,
    margins,
    perplexity,
    score_shape,
)
from netdistance.quantities import Estimate, Exact, Skipped
from netdistance.report.document import DeviationRow


def drawn(seed: int, *shape: int, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    terms = [math.exp(score - top) for score in scores]
    return [term / math.fsum(terms) for term in terms]


def kl_twin(a: Sequence[float], b: Sequence[float]) -> float:
    p, q = softmax(a), softmax(b)
    return math.fsum(x * math.log(x / y) for x, y in zip(p, q, strict=True))


def mean_twin(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    spread = math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)
    return mean, math.sqrt(spread / len(values))


def rows_of(a: Tensor, b: Tensor, targets: Tensor | None = None, *, tokens: bool = False) -> dict[
    str, DeviationRow
]:  # fmt: skip
    shape = (a.shape[1], a.shape[2]) if tokens else (1, a[0].numel())
    rows = deviation_rows(Reference.of(a.flatten(1)), b.flatten(1), targets, shape)
    return {row.measure: row for row in rows}


def close(found: object, expected: tuple[float, float]) -> bool:
    assert isinstance(found, Estimate)
    return (found.value, found.stderr) == pytest.approx(expected, rel=1e-10, abs=1e-15)


def test_measures_without_targets_equal_their_twins() -> None:
    a, b = drawn(0, 30, 5), drawn(1, 30, 5)
    rows = rows_of(a, b)
    assert list(rows) == [
        "relative_output_deviation", "top1_agreement", "kl_divergence", "logit_margin_a",
        "logit_margin_b",
    ]  # fmt: skip
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    twin = [kl_twin(x, y) for x, y in pairs]
    assert close(rows["kl_divergence"].value, mean_twin(twin))
    assert rows["kl_divergence"].quantiles["1.0"] == pytest.approx(max(twin), rel=1e-10)
    assert rows["kl_divergence"].worst_input == twin.index(max(twin))
    for side, scores in (("a", a), ("b", b)):
        gaps = [sorted(row)[-1] - sorted(row)[-2] for row in scores.tolist()]
        assert close(rows[f"logit_margin_{side}"].value, mean_twin(gaps))
    moved = [math.dist(x, y) / math.hypot(*x) for x, y in pairs]
    assert rows["relative_output_deviation"].worst_input == moved.index(max(moved))


def test_measures_with_targets_equal_their_twins() -> None:
    a, b = drawn(2, 40, 4), drawn(3, 40, 4)
    targets = torch.arange(40) % 4
    rows = rows_of(a, b, targets)
    assert list(rows)[5:] == ["accuracy_a", "accuracy_b", "loss_a", "loss_b"]
    for side, scores in (("a", a), ("b", b)):
        lines = list(zip(scores.tolist(), targets.tolist(), strict=True))
        losses = [-math.log(softmax(row)[label]) for row, label in lines]
        assert close(rows[f"loss_{side}"].value, mean_twin(losses))
        right = sum(row.index(max(row)) == label for row, label in lines) / 40
        assert close(rows[f"accuracy_{side}"].value, (right, math.sqrt(right * (1 - right) / 40)))


def test_tokens_equal_their_twins() -> None:
    a, b = drawn(4, 9, 6, 5), drawn(5, 9, 6, 5)
    rows = rows_of(a, b, tokens=True)
    each = [
        [kl_twin(x, y) for x, y in zip(xs, ys, strict=True)]
        for xs, ys in zip(a.tolist(), b.tolist(), strict=True)
    ]
    means = [math.fsum(row) / 6 for row in each]
    assert close(rows["kl_divergence"].value, mean_twin(means))
    # quantiles are over tokens, the worst input over inputs
    assert rows["kl_divergence"].quantiles["1.0"] == pytest.approx(max(map(max, each)), rel=1e-10)
    assert rows["kl_divergence"].worst_input == means.index(max(means))
    same = (a.argmax(2) == b.argmax(2)).double().mean(1).tolist()
    assert close(rows["top1_agreement"].value, mean_twin(same))


def test_tokens_that_do_not_count_are_left_out() -> None:
    a, b = drawn(6, 8, 5, 4), drawn(7, 8, 5, 4)
    targets = torch.arange(40).reshape(8, 5) % 4
    targets[torch.rand(8, 5, generator=torch.Generator().manual_seed(1)) < 0.4] = IGNORED
    targets[3] = IGNORED
    rows = rows_of(a, b, targets, tokens=True)
    sums, counts = [], []
    for scores, labels in zip(a.tolist(), targets.tolist(), strict=True):
        kept = [(s, y) for s, y in zip(scores, labels, strict=True) if y != IGNORED]
        if kept:
            sums.append(math.fsum(-math.log(softmax(s)[y]) for s, y in kept))
            counts.append(len(kept))
    mean = math.fsum(sums) / sum(counts)
    residuals = [s - mean * c for s, c in zip(sums, counts, strict=True)]
    n = len(sums)
    spread = math.sqrt(math.fsum(r * r for r in residuals) / (n - 1) / n) / (sum(counts) / n)
    assert close(rows["loss_a"].value, (mean, spread))
    assert close(rows["perplexity_a"].value, (math.exp(mean), math.exp(mean) * spread))


def test_a_sequence_whose_tokens_all_count_is_its_mean() -> None:
    a, b = drawn(8, 7, 3, 4), drawn(9, 7, 3, 4)
    targets = torch.arange(21).reshape(7, 3) % 4
    losses = [
        math.fsum(-math.log(softmax(s)[y]) for s, y in zip(*pair, strict=True)) / 3
        for pair in zip(b.tolist(), targets.tolist(), strict=True)
    ]
    assert close(rows_of(a, b, targets, tokens=True)["loss_b"].value, mean_twin(losses))


def test_identical_outputs_are_exactly_zero_apart() -> None:
    a = drawn(10, 12, 6, scale=50.0)
    rows = rows_of(a, a.clone())
    assert rows["kl_divergence"].value == Estimate(0.0, 0.0)
    assert rows["relative_output_deviation"].value == Estimate(0.0, 0.0)
    assert rows["kl_divergence"].worst_input is None
    assert rows["logit_margin_a"].value == rows["logit_margin_b"].value


def test_divergences_at_the_edge() -> None:
    a = torch.tensor([[0.0, -math.inf], [0.0, 0.0], [1000.0, 0.0]])
    b = torch.tensor([[0.0, 0.0], [0.0, -math.inf], [0.0, 1000.0]])
    assert kl_divergence(a, b).tolist() == [pytest.approx(math.log(2.0)), math.inf, 1000.0]
    assert margins(torch.tensor([[5.0, 5.0, 1.0]])).tolist() == [0.0]
    assert cross_entropy(torch.zeros(1, 4), torch.tensor([2])).tolist() == [
        pytest.approx(math.log(4.0))
    ]
    assert isinstance(perplexity(Estimate(1e4, 0.0)), Skipped)
    assert perplexity(Skipped("why")) == Skipped("why")
    infinite = rows_of(torch.zeros(2, 2) + 1.0, torch.tensor([[0.0, -math.inf], [1.0, 1.0]]))
    assert isinstance(infinite["kl_divergence"].value, Skipped)
    assert infinite["kl_divergence"].worst_input == 0


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = drawn(11, 11, 6), drawn(12, 11, 6)
    whole = rows_of(a, b, torch.zeros(11, dtype=torch.int64))
    monkeypatch.setattr(output_measures, "_BLOCK", 13)
    assert rows_of(a, b, torch.zeros(11, dtype=torch.int64)) == whole


def test_one_output_has_no_scores() -> None:
    rows = deviation_rows(Reference.of(drawn(0, 5, 1)), drawn(1, 5, 1), None, Skipped("one"))
    assert [row.measure for row in rows if row.value == Skipped("one")] == [
        "top1_agreement", "kl_divergence", "logit_margin_a", "logit_margin_b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("module", "inputs", "expected"),
    [
        (nn.Linear(3, 4), torch.ones(2, 3), (1, 4)),
        (nn.Linear(3, 1), torch.ones(2, 3), "one output"),
        (nn.Linear(3, 4), torch.ones(2, 5, 3), "5 x 4"),
        (nn.Linear(3, 4), torch.ones(2, 1, 3), (1, 4)),
        (nn.Conv2d(3, 4, 2), torch.ones(2, 3, 2, 2), (1, 4)),
        (nn.Embedding(7, 4), torch.ones(2, 5, dtype=torch.int64), (5, 4)),
        (nn.Embedding(7, 4), Arguments({"input": torch.ones(2, 5, dtype=torch.int64)}), (5, 4)),
    ],
)
def test_what_is_a_row_of_scores(
    module: nn.Module, inputs: Tensor | Arguments, expected: tuple[int, int] | str
) -> None:
    network = Network(module, "net", torch.device("cpu"))
    found = score_shape(network, module.state_dict(), inputs)
    if isinstance(expected, str):
        assert isinstance(found, Skipped) and expected in found.reason
    else:
        assert found == expected


def test_targets_that_do_not_fit_are_refused() -> None:
    a, b = drawn(0, 4, 3, 5), drawn(1, 4, 3, 5)
    for targets, what in (
        (torch.zeros(4, dtype=torch.int64), "4 labels, expected 4 x 3"),
        (torch.full((4, 3), IGNORED), "does not count"),
        (torch.full((4, 3), 5), "expected 0 to 4"),
    ):
        with pytest.raises(InputError, match=what):
            rows_of(a, b, targets, tokens=True)
    one = Skipped("the network has one output: there is no top-1 class")
    with pytest.raises(InputError, match="one output"):
        reference = Reference.of(drawn(0, 3, 1))
        deviation_rows(reference, drawn(1, 3, 1), torch.zeros(3, dtype=torch.int64), one)
    assert Exact(0.0) != one
