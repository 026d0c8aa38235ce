"""Where the theory says that a certificate is attained, the numbers meet."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from netdistance.bounds.certificates import Certifier
from netdistance.bounds.trust import trust_from_log1p_sum
from netdistance.linalg.spectral_norm import spectral_norm
from netdistance.networks.affine import Norms
from netdistance.networks.rules import linear
from netdistance.quantities import Exact, Interval
from tests.cases.networks import Case, mlp
from tests.laws.adversary import exact_deviation


def upper(value: object) -> float:
    assert isinstance(value, Interval), value
    return value.upper


def gaussian(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def aligned_chain(widths: tuple[int, ...], seed: int) -> tuple[dict[str, Tensor], Tensor]:
    """Rank-one weights v_l+1 v_l' with positive v_l, and the input v_0 that passes unturned."""
    vectors = [gaussian(n, seed=seed + i).abs() for i, n in enumerate(widths)]
    state = {
        f"{2 * i}.weight": torch.outer(vectors[i + 1], vectors[i]) for i in range(len(widths) - 1)
    }
    return state, vectors[0].unsqueeze(0)


@pytest.mark.parametrize("seed", range(3))
def test_one_linear_layer_reaches_both(seed: int) -> None:
    case = Case("linear", mlp(6, 4, bias=False), (6,))
    network = case.network()
    state, x = case.state(network, seed, torch.float64), gaussian(1, 6, seed=seed)
    certifier, level, weight = Certifier.of(network, state, x), 0.1, state["0.weight"]
    worst = torch.outer(gaussian(4, seed=9 + seed), x[0])
    worst *= level * weight.norm() / worst.norm()
    moved = {"0.weight": weight + worst}
    deviation = float(exact_deviation(network, state, moved, x))
    ball, known = certifier.ball(level, ["0.weight"]).best, certifier.known(Norms(moved)).best
    assert upper(ball) == pytest.approx(deviation, rel=1e-6)
    assert upper(known) == pytest.approx(deviation, rel=1e-6)


@pytest.mark.parametrize("widths", [(5, 7, 3), (4, 4, 4, 4), (3, 8, 2, 8, 3)])
def test_aligned_layers_reach_the_ball_at_any_depth(widths: tuple[int, ...]) -> None:
    network = Case("chain", mlp(*widths, bias=False), widths[:1]).network()
    state, x = aligned_chain(widths, seed=4)
    certifier, level = Certifier.of(network, state, x), 0.2
    grown = {name: (1.0 + level) * weight for name, weight in state.items()}
    deviation = float(exact_deviation(network, state, grown, x))
    assert deviation == pytest.approx((1.0 + level) ** (len(widths) - 1) - 1.0, rel=1e-12)
    assert upper(certifier.ball(level, list(state)).best) == pytest.approx(deviation, rel=1e-5)
    assert upper(certifier.known(Norms(grown)).best) == pytest.approx(deviation, rel=1e-5)


@pytest.mark.parametrize("etas", [(0.1,), (0.3, 0.3, 0.3), (0.01, 0.5, 0.0, 0.2), (1e-6, 2.0)])
def test_grown_weights_move_exactly_by_deep_relative_trust(etas: tuple[float, ...]) -> None:
    case = Case("grown", mlp(5, *(6 for _ in etas), bias=False), (5,))
    network = case.network()
    state, x = case.state(network, 1, torch.float64), gaussian(4, 5, seed=1)
    grown = {
        name: (1.0 + eta) * weight for eta, (name, weight) in zip(etas, state.items(), strict=True)
    }
    deviation = exact_deviation(network, state, grown, x)
    trust = trust_from_log1p_sum(math.fsum(math.log1p(eta) for eta in etas))
    assert isinstance(trust, Exact)
    assert torch.allclose(deviation, torch.full_like(deviation, trust.value), rtol=1e-9, atol=1e-15)
    certified = upper(Certifier.of(network, state, x).known(Norms(grown)).best)
    assert certified >= float(deviation.max())


def test_probable_norms_give_a_probable_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of the three norms are proved only with probability 1 - 1e-6."""

    def norm(weight: object) -> Interval:
        return spectral_norm(weight, gram_limit=5, delta=1e-6)  # type: ignore[arg-type]

    monkeypatch.setattr(linear, "spectral_norm", norm)
    case = Case("probable", mlp(8, 40, 30, 4), (8,))
    network = case.network()
    state, x = case.state(network, 0), case.inputs(0)
    certifier = Certifier.of(network, state, x)
    ball = certifier.ball(0.1, network.parameters).best
    known = certifier.known(Norms(state), 0.5).best
    assert isinstance(ball, Interval) and isinstance(known, Interval)
    assert ball.confidence == pytest.approx(1.0 - 2e-6, abs=1e-12)
    assert known.confidence == pytest.approx(1.0 - 4e-6, abs=1e-12)


@pytest.mark.parametrize("name", ["0.weight", "2.bias"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_weights_give_no_certificate(name: str, value: float) -> None:
    case = Case("broken", mlp(4, 5, 3), (4,))
    network = case.network()
    state, x = case.state(network, 0), case.inputs(0)
    broken = {n: t.clone() for n, t in state.items()}
    broken[name].view(-1)[0] = value
    whole, certifier = Certifier.of(network, state, x), Certifier.of(network, broken, x)
    refused = (whole.known(Norms(broken)), certifier.known(Norms(state)),
               certifier.ball(0.1, network.parameters))  # fmt: skip
    assert not any(isinstance(answer.best, Interval) for answer in refused)
