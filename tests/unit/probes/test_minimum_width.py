"""Radii against closed forms, dense scans and the symmetries that leave them as they are."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional

from netdistance.errors import InputError
from netdistance.probes.crossing import RESOLUTION
from netdistance.probes.mean_loss import Fit, MeanLoss
from netdistance.probes.minimum_width import Change
from netdistance.probes.noise import unit_noise
from netdistance.probes.over_draws import interval, mean_radius, mean_ratio, spread
from netdistance.probes.width_rows import Radii, measure_width, ratios, rows_of
from netdistance.probes.worst_direction import Search
from netdistance.quantities import Estimate, Exact, Skipped
from netdistance.report.width_rows import Criterion
from tests.unit.probes.labelled import linear_problem, loss_of, minimum_of, relu_problem

NAMES = ("0.weight", "2.weight", "4.weight")


def radii_of(
    tolerance: float = 0.1, *, bias: bool = False, draws: int = 5, seed: int = 0, **how: object
) -> tuple[Radii, ...]:
    loss = relu_problem(bias=bias, **how)  # type: ignore[arg-type]
    return measure_width(minimum_of(loss, tolerance), NAMES, draws=draws, layer_draws=3, seed=seed)


def margin_at(loss: float) -> float:
    """The margin with log(1 + exp(-margin)) = loss."""
    return -math.log(math.expm1(loss))


@pytest.mark.parametrize("tolerance", [0.01, 0.1, 1.0])
def test_the_random_radius_of_one_linear_layer(tolerance: float) -> None:
    loss = linear_problem()
    weight, point = loss.state["weight"], loss.inputs[0]
    margin = float((weight[0] - weight[1]) @ point)
    target = margin_at(math.log1p(math.exp(-margin)) + tolerance)
    for seed in range(12):
        change = unit_noise(loss.state, ["weight"], seed=seed)
        slope = float((change["weight"][0] - change["weight"][1]) @ point)
        expected = (target - margin) / slope if slope < 0.0 else math.inf
        found = minimum_of(loss, tolerance).radius(change)
        assert found == pytest.approx(expected, rel=2 * RESOLUTION) or found == expected == math.inf


@pytest.mark.parametrize("tolerance", [0.01, 0.1, 1.0])
def test_the_worst_radius_of_one_linear_layer(tolerance: float) -> None:
    loss = linear_problem()
    weight, point = loss.state["weight"], loss.inputs[0]
    margin = float((weight[0] - weight[1]) @ point)
    target = margin_at(math.log1p(math.exp(-margin)) + tolerance)
    # the steepest change of the margin in a ball: half in each row, along the point
    expected = (margin - target) / float(math.sqrt(2) * weight.norm() * point.norm())
    search = Search(minimum_of(loss, tolerance), ("weight",))
    found = search.ascend(unit_noise(loss.state, ["weight"], seed=1))
    assert found == pytest.approx(expected, rel=2 * RESOLUTION)
    assert found >= expected * (1.0 - 1e-9)


@pytest.mark.slow
def test_the_first_crossing_of_a_dense_scan() -> None:
    loss = relu_problem()
    minimum = minimum_of(loss)
    levels = torch.logspace(-4, 1, 3000, dtype=torch.float64).tolist()
    for seed in range(4):
        change = unit_noise(loss.state, NAMES, seed=seed)
        first = next((t for t in levels if minimum.tried(change, t).fails), math.inf)
        found = minimum.radius(change)
        ratio = levels[1] / levels[0]
        assert found == first == math.inf or found / ratio <= first <= found * ratio


@pytest.mark.parametrize("seed", range(3))
def test_no_worst_radius_exceeds_a_draw_or_a_layer(seed: int) -> None:
    everything, *layers = radii_of(seed=seed)
    assert (everything.layer, [part.layer for part in layers]) == (None, ["0", "2", "4"])
    assert [len(part.drawn) for part in (everything, *layers)] == [5, 3, 3, 3]
    for part in (everything, *layers):
        assert isinstance(part.worst, float)
        assert part.worst <= min(part.drawn)
        assert isinstance(everything.worst, float) and everything.worst <= part.worst


def test_the_ascent_beats_many_draws() -> None:
    (everything,) = measure_width(
        minimum_of(relu_problem()), NAMES, draws=200, layer_draws=0, seed=9
    )
    found = radii_of(draws=2)[0].worst
    assert isinstance(found, float)
    assert found < 0.6 * min(everything.drawn)


def test_a_larger_tolerance_gives_no_smaller_radius() -> None:
    found = [radii_of(tolerance) for tolerance in (0.01, 0.05, 0.2)]
    for less, more in pairwise(found):
        for first, second in zip(less, more, strict=True):
            assert all(r <= s for r, s in zip(first.drawn, second.drawn, strict=True))
            assert isinstance(first.worst, float) and isinstance(second.worst, float)
            assert first.worst < second.worst


@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-9), (torch.float32, 1e-3)])
def test_scaling_a_layer_up_and_the_next_down_changes_no_radius(
    dtype: torch.dtype, within: float
) -> None:
    before = radii_of(dtype=dtype)
    after = radii_of(dtype=dtype, factors=(3.0, 1 / 6.0, 2.0))
    for first, second in zip(before, after, strict=True):
        assert second.drawn == pytest.approx(first.drawn, rel=within)
        assert second.worst == pytest.approx(first.worst, rel=max(within, 1e-6))


def test_scaling_with_biases_changes_the_radius() -> None:
    # the biases stay as they were, so that it is another function: the test above can fail
    before, after = (radii_of(bias=True, factors=f)[0] for f in ((), (3.0, 1 / 6.0, 2.0)))
    assert after.drawn != pytest.approx(before.drawn, rel=0.01)


def test_the_accuracy_criterion_counts_answers() -> None:
    loss = relu_problem()
    change = unit_noise(loss.state, NAMES, seed=0)
    right = loss.at({}, 0.0).hits
    assert right == 18
    for allowed in (0.0, 0.05, 0.25):
        level = minimum_of(loss, allowed, "accuracy").radius(change)
        assert right - loss.at(change, level).hits > allowed * 20
        assert right - loss.at(change, level * (1 - 2 * RESOLUTION)).hits <= allowed * 20 + 1e-9


def test_the_fit_is_that_of_torch() -> None:
    loss = relu_problem(bias=True)
    loss.targets[3:5] = -100
    module = loss.network.module
    module.load_state_dict(loss.state)
    outputs = module(loss.inputs)
    expected = functional.cross_entropy(outputs, loss.targets)
    assert loss.at({}, 0.0).loss == pytest.approx(float(expected), rel=1e-12)
    reference, accuracy = loss.reference()
    assert isinstance(reference, Estimate) and isinstance(accuracy, Estimate)
    assert reference.value == pytest.approx(float(expected), rel=1e-12)
    assert accuracy.value == pytest.approx(loss.at({}, 0.0).hits / 18)
    module.requires_grad_(True)
    functional.cross_entropy(module(loss.inputs), loss.targets).backward()
    slope = loss.slope({}, 0.0, NAMES)
    for name, parameter in module.named_parameters():
        if name in slope:
            assert torch.allclose(slope[name], parameter.grad, rtol=1e-10, atol=1e-14)


def test_an_infinite_output_is_refused() -> None:
    module = nn.Linear(2, 2, bias=False)
    state = {"weight": torch.full((2, 2), 3e38)}
    with pytest.raises(InputError, match="not finite"):
        loss_of(module, state, torch.ones(3, 2), torch.tensor([0, 1, 0]))


class Root(nn.Module):
    """Scores (w, sqrt(1 + v)): no number once v is below -1."""

    def __init__(self) -> None:
        super().__init__()
        self.v = nn.Parameter(torch.zeros(1, 1, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(x), (2.0 - self.v * x).sqrt()], dim=1)


@pytest.mark.parametrize(("criterion", "tolerance"), [("loss", 1.0), ("accuracy", 0.5)])
def test_a_loss_that_is_no_number_is_too_far(criterion: Criterion, tolerance: float) -> None:
    inputs = torch.ones(3, 1, dtype=torch.float64)
    state = {"v": torch.ones(1, 1, dtype=torch.float64)}
    loss = loss_of(Root(), state, inputs, torch.ones(3, dtype=torch.int64))
    # of v = 1 the root ends at a move of 1, before the loss log(1 + exp(-sqrt(1 - t))) rises by 1
    found = minimum_of(loss, tolerance, criterion).radius({"v": torch.ones_like(state["v"])})
    assert 1.0 <= found <= 1.0 + 2 * RESOLUTION


def test_a_loss_that_falls_holds() -> None:
    loss = linear_problem()
    down = {"weight": torch.outer(torch.tensor([1.0, -1.0]).double(), loss.inputs[0])}
    assert minimum_of(loss, 1e-6).radius(down) == math.inf


def test_a_tolerance_that_the_first_level_breaks_is_skipped() -> None:
    minimum = minimum_of(linear_problem(), 1e-7)
    found = measure_width(minimum, ["weight"], draws=3, layer_draws=0, seed=4)
    assert 0.0 in found[0].drawn and found[0].worst == 0.0
    random, worst = rows_of(found, minimum)
    assert isinstance(random.radius, Skipped) and isinstance(worst.radius, Skipped)
    assert worst.radius.reason == "fails at 0.01%, the smallest level tried, already"
    assert random.interval == {}


def test_a_draw_after_another_has_the_radius_it_has_alone() -> None:
    loss = relu_problem()
    minimum = minimum_of(loss)
    drawn = radii_of(draws=6)[0].drawn
    for seed, radius in enumerate(drawn):
        alone = minimum.radius(unit_noise(loss.state, NAMES, seed=seed))
        assert radius == alone == math.inf or radius == pytest.approx(alone, rel=RESOLUTION)


def test_few_evaluations_make_a_radius(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    plain = MeanLoss.at

    def counted(self: MeanLoss, change: Change, level: float) -> Fit:
        asked.append(level)
        return plain(self, change, level)

    monkeypatch.setattr(MeanLoss, "at", counted)
    measure_width(minimum_of(relu_problem()), NAMES, draws=12, layer_draws=0, seed=0)
    # bisection from the smallest level took 27 a draw, and some 150 for the worst
    assert len(asked) < 12 * 14 + 90


def test_weights_of_zero_never_fail() -> None:
    loss = linear_problem()
    loss.state["weight"].zero_()  # type: ignore[index]
    found = measure_width(minimum_of(loss), ["weight"], draws=2, layer_draws=0, seed=0)
    assert found[0].drawn == (math.inf, math.inf)
    random, worst = rows_of(found, minimum_of(loss))
    assert random.radius == worst.radius == Skipped("not reached up to 1000%")


def test_the_mean_over_draws_is_geometric() -> None:
    mean = mean_radius([0.1, 0.4])
    assert isinstance(mean, Estimate)
    assert mean.value == pytest.approx(0.2)
    assert mean.stderr == pytest.approx(0.2 * math.log(4) / math.sqrt(2) / math.sqrt(2))
    assert mean_radius([0.1, math.inf]) == Skipped("not reached up to 1000% in 1 of 2 draws")
    assert isinstance(already := mean_radius([0.0, 0.1]), Skipped)
    assert already.reason.startswith("fails at 0.01%") and already.reason.endswith("1 of 2 draws")


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says() -> None:
    generator, held = torch.Generator().manual_seed(0), 0
    for _ in range(2000):
        radii = torch.randn(4, generator=generator, dtype=torch.float64).mul(0.3).exp().tolist()
        around = interval(mean_radius(radii), 4)
        held += around["lower_95"] <= 1.0 <= around["upper_95"]
    assert 0.935 < held / 2000 < 0.965  # two standard errors either way of 4 draws hold 86%


def test_a_mean_without_a_number_has_no_interval() -> None:
    assert interval(Skipped("not reached"), 4) == {}
    assert interval(mean_radius([0.1]), 1) == {}


def test_the_spread_leaves_out_what_is_not_known() -> None:
    assert spread([0.3, 0.1, 0.2]) == {"0.0": 0.1, "0.5": 0.2, "1.0": 0.3}
    assert spread([0.3, math.inf]) == {"0.0": 0.3, "0.5": 0.3}
    assert spread([math.inf]) == {}


def test_ratios_are_taken_draw_by_draw() -> None:
    a = Radii(None, (0.1, 0.4), 0.02)
    b = Radii(None, (0.2, 0.8), Skipped("no gradient"))
    random, worst = ratios([a], [b])
    assert isinstance(random.value, Estimate)
    assert (random.value.value, random.value.stderr) == pytest.approx((2.0, 0.0))
    assert worst.value == Skipped("the radius of b: no gradient")
    assert ratios([a], [a])[1].value == Exact(1.0)
    assert mean_ratio([math.inf], [0.1]) == Skipped("the radius of a: not reached up to 1000%")
