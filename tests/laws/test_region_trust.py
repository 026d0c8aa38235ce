"""Spectral trust of a region: no change in it has a larger product of (1 + |D|_2 / |W|_2)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from netdistance.bounds.region_trust import RegionTrust
from netdistance.distances import structure
from netdistance.linalg.spectral_norm import UNIT_ROUNDOFF, spectral_norm
from netdistance.linalg.weight_norm import WeightNorms, weight_norm
from netdistance.probes import quantiser_box
from netdistance.probes.noise import Noise, unit_noise
from netdistance.probes.noise_levels import noise_of
from netdistance.quantities import Exact, Interval, Skipped
from netdistance.report.document import BoundRow

SHAPES = ((5, 7), (4, 3, 3), (3, 2, 2, 3), (6, 1, 1, 1), (1, 9))
NOISES = (noise_of("0.3"), noise_of("int4"), Noise("wide", noise_of("int8").unit, 3.0))


def weights(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        str(place): torch.randn(shape, generator=generator, dtype=torch.float64)
        for place, shape in enumerate(SHAPES)
    }


def spectral_row(state: dict[str, Tensor], noise: Noise) -> BoundRow:
    trust = RegionTrust.of(state, tuple(state), (noise.unit,), spectral=True)
    deep, spectral = trust.rows(noise, noise.sizes(state, tuple(state)))
    assert (deep.name, spectral.name) == ("deep_relative_trust", "spectral_trust")
    assert {spectral.standing, spectral.over} == {"modelled", "ball"}
    return spectral


def product(state: dict[str, Tensor], change: dict[str, Tensor]) -> tuple[float, float]:
    """Both ends of prod(1 + |D_l| / |W_l|) - 1, from norms proved one by one."""
    ends = [
        (below.lower / own.upper, below.upper / own.lower)
        for name in state
        for below, own in [(weight_norm(change[name].numpy()), weight_norm(state[name].numpy()))]
    ]
    low, high = (math.prod(1.0 + pair[side] for pair in ends) - 1.0 for side in (0, 1))
    return low, high


def rank_one(weight: Tensor) -> Tensor:
    """|W|_F times the same rank-one matrix at every tap: the farthest by the operator norm."""
    at_each = torch.zeros_like(weight)
    at_each[0, 0] = 1.0
    return at_each * (weight.norm() / at_each.norm())


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.text)
@pytest.mark.parametrize("seed", range(3))
def test_no_draw_exceeds_it(noise: Noise, seed: int) -> None:
    state = weights(seed)
    value = spectral_row(state, noise).value
    assert isinstance(value, Interval) and 0.0 < value.lower <= value.upper
    for draw in range(5):
        drawn = unit_noise(state, tuple(state), noise.unit, seed=draw)
        change = {name: noise.scale * drawn[name] for name in state}
        assert product(state, change)[0] <= value.upper


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.text)
def test_the_farthest_change_reaches_it(noise: Noise) -> None:
    state = weights(7)
    far: Callable[[Tensor], Tensor] = rank_one if noise.text == "0.3" else noise.unit.extent
    value = spectral_row(state, noise).value
    assert isinstance(value, Interval)
    low, high = product(state, {name: noise.scale * far(w) for name, w in state.items()})
    assert low <= value.upper and value.lower <= high
    assert value.upper == pytest.approx(high, rel=1e-3)


def test_matrices_in_a_ball_are_their_singular_values() -> None:
    state = {name: w for name, w in weights(3).items() if w.ndim == 2}
    factors = [
        1.0 + 0.3 * np.linalg.norm(w) / np.linalg.norm(w, 2)
        for w in (t.numpy() for t in state.values())
    ]
    value = spectral_row(state, noise_of("0.3")).value
    assert isinstance(value, Interval)
    assert value.lower <= math.prod(factors) - 1.0 <= value.upper


def test_a_kernel_known_by_its_reshape_stays_within_its_frobenius_norm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There the corner is known to sqrt(taps) |R|_2, more than the ball around the box allows."""

    def loose(weight: np.ndarray) -> Interval:
        norm = spectral_norm(weight.reshape(len(weight), -1))
        return Interval(norm.lower, norm.upper * math.prod(weight.shape[2:]))

    monkeypatch.setattr("netdistance.linalg.weight_norm.weight_norm", loose)
    kernel = torch.ones((1, 1, 3, 3), dtype=torch.float64)
    unit = noise_of("int8").unit
    own = WeightNorms.of(kernel.numpy())
    reached = unit.reach(kernel, own)
    assert isinstance(reached, WeightNorms)
    around = 3.0 * float(unit.extent(kernel).norm())
    assert reached.operator.upper == pytest.approx(around, rel=8 * UNIT_ROUNDOFF)


def test_a_level_scales_what_was_proved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    state, calls = weights(1), list[int]()
    norms = structure.weight_norms

    def counted(weight: np.ndarray) -> WeightNorms | Skipped:
        calls.append(1)
        return norms(weight)

    monkeypatch.setattr("netdistance.bounds.region_trust.weight_norms", counted)
    monkeypatch.setattr(quantiser_box, "weight_norms", counted)
    noises = [noise_of(text) for text in ("0.1", "0.2", "0.3", "int8")]
    trust = RegionTrust.of(
        state, tuple(state), tuple({noise.unit: None for noise in noises}), spectral=True
    )
    for noise in noises:
        trust.rows(noise, noise.sizes(state, tuple(state)))
    assert len(calls) == 2 * len(state)  # each weight, and the corner of its box


def test_what_has_no_norm_is_skipped_by_name_and_zeros_do_not_count() -> None:
    state = weights(0) | {"z": torch.zeros(3, 3, dtype=torch.float64)}
    noise = noise_of("0.3")
    same = spectral_row(weights(0), noise).value
    assert spectral_row(state, noise).value == same
    state["bad"] = torch.full((2, 2), math.nan, dtype=torch.float64)
    reason = "a weight has no spectral norm: bad: non-finite elements: 4"
    assert spectral_row(state, noise).value == Skipped(reason)
    assert spectral_row({}, noise).value == Exact(0.0)


def test_planted_forgotten_taps_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """|D|_2 <= |D|_F holds for a matrix alone."""
    real = WeightNorms.of_ball
    monkeypatch.setattr(WeightNorms, "of_ball", lambda norms, taps: real(norms, 1))
    state = {name: w for name, w in weights(7).items() if w.ndim > 2}
    value = spectral_row(state, noise_of("0.3")).value
    assert isinstance(value, Interval)
    low, _ = product(state, {name: 0.3 * rank_one(w) for name, w in state.items()})
    assert low > value.upper
