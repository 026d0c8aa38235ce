"""What is measured while a network trains, against formulas of its own."""

import math
from dataclasses import replace
from operator import attrgetter

import pytest
import torch
from torch import nn

from netdistance.errors import InputError
from netdistance.optim import Fromage
from netdistance.quantities import Estimate, Exact, Skipped
from netdistance.training.evaluation import JUDGED, Evaluator, data_note, judge
from netdistance.training.models import mlp
from netdistance.training.step_trust import StepTrust
from netdistance.training.tasks import load_task
from netdistance.training.weight_norms import LARGEST_SIDE, growth, weight_norms


def norms_of(state):
    return weight_norms(state, [name for name, tensor in state.items() if tensor.ndim >= 2])


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (1, 7), (7, 1), (8, 3, 3, 3), (64, 64)])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_norms_are_those_of_a_full_decomposition(shape, scale):
    weight = drawn(*shape) * scale
    (norms,) = norms_of({"w": weight, "b": drawn(4)})
    singular = torch.linalg.svdvals(weight.double().flatten(1))
    assert norms.name == "w"
    assert norms.frobenius_norm.value == pytest.approx(
        math.sqrt(float((singular**2).sum())), rel=1e-12
    )
    assert norms.largest_singular_value.value == pytest.approx(float(singular[0]), rel=1e-12)
    median = float(singular.quantile(0.5))
    assert norms.median_singular_value.value == pytest.approx(median, rel=1e-9)


def test_norms_of_odd_weights():
    zero, lost = norms_of({"0": torch.zeros(2, 3), "1": torch.full((2, 2), math.nan)})
    assert zero.largest_singular_value == Exact(0.0)
    assert isinstance(lost.frobenius_norm, Skipped)
    assert "1 is not finite" in lost.median_singular_value.reason
    side = LARGEST_SIDE + 1
    (large,) = norms_of({"w": torch.ones(side, side)})
    assert large.frobenius_norm.value == pytest.approx(side)
    assert isinstance(large.largest_singular_value, Skipped)


def test_growth_is_the_geometric_mean_between_least_and_most():
    start = norms_of({"a": drawn(3, 4), "b": drawn(4, 4, seed=1), "zero": torch.zeros(2, 2)})
    now = norms_of({"a": 2 * drawn(3, 4), "b": 8 * drawn(4, 4, seed=1), "zero": drawn(2, 2)})
    for name in ("frobenius_norm", "largest_singular_value", "median_singular_value"):
        found = growth(start, now, attrgetter(name))
        assert found.mean.value == pytest.approx(4.0, rel=1e-12)
        assert found.least.value == pytest.approx(2.0, rel=1e-12)
        assert found.most.value == pytest.approx(8.0, rel=1e-12)


def test_growth_of_what_is_lost_or_was_zero():
    zero, lost = norms_of({"w": torch.zeros(2, 2)}), norms_of({"w": drawn(2, 2) / 0.0})
    norm = attrgetter("frobenius_norm")
    assert "at the start" in growth(zero, zero, norm).mean.reason
    assert growth(norms_of({"w": drawn(2, 2)}), lost, norm).most.reason == "w is not finite"
    assert growth(norms_of({"w": drawn(2, 2)}), zero, norm).mean == Exact(0.0)


def loss_of(model):
    return model(drawn(16, 2)).square().mean()


def test_a_step_of_fromage_has_the_trust_that_its_formula_says():
    model = mlp(inputs=2, outputs=1, depth=2, width=8, seed=0)
    steps = StepTrust(model)
    optimizer = Fromage(model.parameters(), lr=0.05)
    expected = []
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model).backward()
        weights = [parameter for parameter in model.parameters() if parameter.ndim == 2]
        factor = 1.0
        for w in weights:
            old, g = w.detach().double(), w.grad.double()
            new = (old - 0.05 * old.norm() / g.norm() * g) / math.sqrt(1.0 + 0.05**2)
            factor *= 1.0 + float((new - old).norm() / old.norm())
        expected.append(factor - 1.0)
        steps.step((optimizer,))
    mean, largest = steps.take()
    assert isinstance(mean, Estimate)
    assert mean.value == pytest.approx(sum(expected) / 3, rel=1e-5)
    deviation = math.sqrt(sum((e - sum(expected) / 3) ** 2 for e in expected) / 2)
    assert mean.stderr == pytest.approx(deviation / math.sqrt(3), rel=1e-2, abs=1e-7)
    assert largest.value == pytest.approx(max(expected), rel=1e-5)
    assert isinstance(steps.take()[0], Skipped)


def test_optimisers_that_share_a_network_make_one_step():
    model = mlp(inputs=2, outputs=1, depth=1, width=4, seed=0)
    first, last = model[0].weight, model[2].weight
    parts = (torch.optim.SGD([first], lr=0.1), torch.optim.SGD([last], lr=0.1))
    loss_of(model).backward()
    steps = StepTrust(model)
    expected = math.prod(
        1.0 + 0.1 * float(w.grad.norm() / w.detach().norm()) for w in (first, last)
    )
    steps.step(parts)
    assert steps.take()[0].value == pytest.approx(expected - 1.0, rel=1e-5)


def test_a_step_to_nan_is_skipped():
    model = mlp(inputs=2, outputs=1, depth=1, width=4, seed=0)
    loss_of(model).backward()
    model[0].weight.grad.fill_(math.nan)
    steps = StepTrust(model)
    steps.step((torch.optim.SGD(model.parameters(), lr=0.1),))
    assert all("not finite" in part.reason for part in steps.take())


def test_judging_in_parts_is_judging_at_once():
    task = load_task("checkerboard")
    inputs = torch.cat([task.train_inputs, task.test_inputs[:537]])
    targets = torch.cat([task.train_targets, task.test_targets[:537]])
    model = mlp(inputs=2, outputs=1, depth=2, width=8, seed=0)
    loss, accuracy = judge(model, task, inputs, targets)
    outputs = model(inputs).detach()
    assert loss == pytest.approx(float(task.loss(outputs.double(), targets.double())), rel=1e-6)
    assert accuracy == pytest.approx(task.accuracy(outputs, targets), rel=1e-12)


def test_a_large_data_set_is_judged_on_a_drawn_part():
    task = load_task("checkerboard")
    count = JUDGED + 500
    inputs = torch.rand(count, 2, generator=torch.Generator().manual_seed(1))
    # sorted by label, so that a part from the start would hold one class
    targets = torch.ones(count)
    targets[: count // 2] = -1.0
    large = replace(task, train_inputs=inputs, train_targets=targets)
    model = mlp(inputs=2, outputs=1, depth=1, width=4, seed=0)
    first, again = Evaluator.of(large, model), Evaluator.of(large, model)
    assert len(first.train[0]) == JUDGED
    assert torch.equal(first.train[0], again.train[0])
    assert abs(float(first.train[1].mean())) < 0.05
    assert len(first.test[0]) == len(task.test_inputs)
    assert data_note(large) == "training results are of 20,000 of 20,500 examples, drawn once"
    assert data_note(task) == ""


def test_labels_of_tokens_count_each():
    task = load_task("checkerboard")
    tokens = torch.zeros(1000, 64, dtype=torch.int64)
    text = replace(task, train_inputs=tokens, train_targets=tokens)
    model = nn.Linear(1, 1)
    assert Evaluator.of(text, model).train[0].numel() <= JUDGED


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Linear(3, 1), r"its network cannot run on \(1000, 2\): RuntimeError"),
        (nn.LSTM(2, 1), "gave no tensor of floating point"),
    ],
)
def test_a_network_that_fails_is_named(network, message):
    task = load_task("checkerboard")
    with pytest.raises(InputError, match=message):
        judge(network, task, task.train_inputs, task.train_targets)


def test_outputs_that_are_not_finite_are_no_loss():
    task = load_task("checkerboard")
    model = mlp(inputs=2, outputs=1, depth=1, width=4, seed=0)
    with torch.no_grad():
        model[0].bias[0] = math.inf
    assert judge(model, task, task.train_inputs, task.train_targets) == (None, None)
