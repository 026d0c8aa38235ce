"""Layerwise relative noise: its size, its seed, and that nothing else moves."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from netdistance import demo
from netdistance.probes.noise import moved, perturbed_names, relative, unit_noise
from netdistance.probes.noise_sweep import NoiseSweep
from netdistance.studies.compare import CompareOptions, compare
from netdistance.studies.perturb import PerturbOptions, perturb
from tests.cases.networks import SUPPORTED, Case, mlp

BY_NAME = {case.name: case for case in SUPPORTED}


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-6), (torch.float64, 1e-13), (torch.bfloat16, 1e-2), (torch.float16, 1e-3)],
)
@pytest.mark.parametrize("shape", [(1,), (1, 1), (3, 5), (64, 300), (8, 3, 5, 5)])
def test_noise_has_the_norm_of_its_tensor(
    shape: tuple[int, ...], dtype: torch.dtype, tolerance: float
) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(4)).to(dtype)
    (noise,) = unit_noise({"w": weight}, ["w"], seed=0).values()
    assert noise.dtype == dtype and noise.shape == weight.shape
    norms = [math.sqrt(math.fsum(t.double().flatten().square().tolist())) for t in (noise, weight)]
    assert norms[0] == pytest.approx(norms[1], rel=tolerance)


@pytest.mark.parametrize("level", [1e-3, 0.2])
def test_the_realised_change_has_the_level(level: float) -> None:
    case = BY_NAME["conv residual"]
    network = case.network()
    state = case.state(network, 0)
    noise = unit_noise(state, network.parameters, seed=3)
    for name, tensor in moved(network, state, noise, level).items():
        size = (tensor.double() - state[name].double()).norm() / state[name].double().norm()
        # a weight in float32 rounds the sum by 6e-8 of itself
        assert float(size) == pytest.approx(level, abs=1e-7, rel=1e-6)


def test_zero_tensors_stay() -> None:
    state = {"w": torch.zeros(3, 2)}
    assert not unit_noise(state, ["w"], seed=0)["w"].any()


def test_the_seed_decides() -> None:
    state = {"w": torch.ones(4, 4), "v": torch.ones(4)}
    first, again, other = (unit_noise(state, ["w", "v"], seed=seed) for seed in (5, 5, 6))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["w"], other["w"])
    double = unit_noise({n: t.double() for n, t in state.items()}, ["w", "v"], seed=5)
    assert all(torch.allclose(first[name].double(), double[name], rtol=1e-6) for name in first)


def test_scopes() -> None:
    case = Case("net", mlp(3, 4, 2), (3,))
    network = case.network()
    state = case.state(network, 0)
    assert perturbed_names(network, state, "weights") == ("0.weight", "2.weight")
    assert perturbed_names(network, state, "all") == ("0.weight", "0.bias", "2.weight", "2.bias")


def test_tied_tensors_move_together_and_the_state_stays() -> None:
    case = BY_NAME["shared parameter"]
    network = case.network()
    state = case.state(network, 0)
    kept = {name: tensor.clone() for name, tensor in state.items()}
    other = moved(network, state, unit_noise(state, network.parameters, seed=0), 0.1)
    assert torch.equal(other["0.weight"], other["2.weight"])
    assert not torch.equal(other["0.weight"], state["0.weight"])
    assert all(torch.equal(state[name], kept[name]) for name in kept)


def test_a_draw_is_the_same_noise_at_every_level_and_count() -> None:
    case = Case("linear", mlp(3, 2, bias=False), (3,))
    network = case.network()
    state, inputs = case.state(network, 0, torch.float64), case.inputs(0, 4, torch.float64)

    def measure(draws: int) -> NoiseSweep:
        return NoiseSweep.of(network, state, inputs, None, batch_size=8, seed=3, draws=draws)

    levels = {"0.1": 0.1, "0.2": 0.2}
    noises = [relative(level, text) for text, level in levels.items()]
    few = measure(2).measure(noises, ("weights",))
    many = measure(5).measure(noises, ("weights",))
    for text in levels:
        for draw in range(2):
            a, b = few[text, "weights"].deviations[draw], many[text, "weights"].deviations[draw]
            assert torch.equal(a, b)
    low, high = (many[text, "weights"].deviations[4] for text in levels)
    torch.testing.assert_close(2.0 * low, high)


@pytest.fixture
def few_points(tmp_path: Path) -> Path:
    import numpy as np

    path = tmp_path / "points.npy"
    np.save(path, np.load(demo.POINTS)[:20])
    return path


def test_studies_leave_the_global_generators_alone(few_points: Path) -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    options = PerturbOptions(
        model=demo.MODEL, inputs=few_points, noise=("0.1",), draws=2, certify=2
    )
    perturb(demo.TRAINED, options)
    compare(demo.TRAINED, demo.ROUNDED, CompareOptions(model=demo.MODEL, inputs=few_points))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
