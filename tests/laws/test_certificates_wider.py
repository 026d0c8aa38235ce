"""The laws of certificates on networks of every further operator: no measurement is above one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from netdistance.bounds.certificates import Certifier
from netdistance.networks.affine import Norms
from netdistance.networks.load import Network, State
from tests.cases.networks import Case, in_dtype
from tests.cases.wider import WIDER
from tests.laws.test_certificates import ball_law, known_law, upper

pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")


over_cases = pytest.mark.parametrize("case", WIDER, ids=lambda case: case.name)


@over_cases
def test_ball_withstands(case: Case) -> None:
    problem = ball_law(case, 0, 0.05, count=2, steps=8)
    assert not problem, problem


@pytest.mark.slow
@over_cases
def test_ball_withstands_a_long_search(case: Case) -> None:
    levels = ((1, 1e-6), (2, 0.001), (3, 0.4), (4, 1.5))
    problems = [ball_law(case, seed, level, count=4, steps=60) for seed, level in levels]
    assert not any(problems), problems


def everything(
    network: Network, state: State, seed: int
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Changes of all floating-point tensors at once, running statistics among them."""
    generator = torch.Generator().manual_seed(31 + seed)
    double = in_dtype(state, torch.float64)
    names = [n for n, t in double.items() if t.is_floating_point() and network.ties[n] == n]
    for size in (1e-9, 1e-3, 0.3, 10.0):
        change = {}
        for name in names:
            draw = torch.randn(double[name].shape, generator=generator, dtype=torch.float64)
            scale = draw * float(double[name].square().mean().sqrt())
            # a variance stays positive: it moves by a factor
            grown = double[name] * torch.expm1(min(size, 1.0) * draw)
            change[name] = grown if name.endswith("running_var") else size * scale
        yield f"everything {size:g}", change


@over_cases
def test_change_of_everything_withstands(case: Case) -> None:
    problems = [known_law(case, seed, everything) for seed in range(2)]
    assert not any(problems), problems


@pytest.mark.slow
@over_cases
def test_known_change_withstands(case: Case) -> None:
    problems = [known_law(case, seed) for seed in range(3)]
    problems += [known_law(case, seed, everything) for seed in range(2, 8)]
    assert not any(problems), problems


@over_cases
def test_identical_networks_are_certified_identical(case: Case) -> None:
    network = case.network()
    state = case.state(network, 0)
    assert upper(Certifier.of(network, state, case.inputs(0)).known(Norms(state)).best) == 0.0
