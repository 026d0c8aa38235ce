"""A box certificate is never below what a change in its box does, rounding for real included."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from netdistance.bounds.attack import worst_found
from netdistance.bounds.certificates import Certifier
from netdistance.networks.affine import AffineLayer, Block
from netdistance.networks.box import Box
from netdistance.networks.load import Network, State
from netdistance.probes.deviation import Reference
from netdistance.probes.noise import Noise, moved, perturbed_names, unit_noise
from netdistance.probes.noise_levels import noise_of
from netdistance.probes.quantiser_box import STEPS, QuantiserBox
from netdistance.quantities import Interval
from tests.cases.networks import SUPPORTED, Case, in_dtype
from tests.cases.wider import WIDER
from tests.laws.adversary import changed, exact_deviation
from tests.laws.test_certificates import beaten
from tests.oracles.rounding import grid_steps, to_nearest

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel"),
    pytest.mark.filterwarnings("ignore:There is a performance drop"),
]

BY_NAME = {case.name: case for case in (*SUPPORTED, *WIDER)}


def upper(certifier: Certifier, noise: Noise, names: tuple[str, ...]) -> float:
    value = certifier.certify(noise.change(certifier.norms, names, certifier.ties)).best
    assert isinstance(value, Interval) and value.lower == 0.0, value
    return value.upper


def corners(
    network: Network, state: State, inputs: Tensor, radii: State, *, count: int, steps: int
) -> float:
    """The largest relative deviation found from corner to corner, along the gradient's signs."""
    double, ties, worst = in_dtype(state, torch.float64), network.ties, 0.0
    generator = torch.Generator().manual_seed(0)
    for x in inputs.double().split(1):
        before = network(double, x).detach()
        for start in range(count):
            change = {
                name: radius * (torch.randn(radius.shape, generator=generator).sign()
                                if start else double[name].sign())
                for name, radius in radii.items()
            }  # fmt: skip
            for _ in range(steps):
                leaves = {n: (double[n] + d).requires_grad_() for n, d in change.items()}
                tied = {name: leaves.get(ties.get(name, name), own) for name, own in double.items()}
                square = (network(tied, x) - before).square().sum()
                worst = max(worst, float(square.detach().sqrt() / before.norm()))
                gradients = torch.autograd.grad(square, list(leaves.values()), allow_unused=True)
                change = {
                    name: change[name] if gradient is None else radii[name] * gradient.sign()
                    for name, gradient in zip(leaves, gradients, strict=True)
                }
    return worst


def box_law(case: Case, format: str, scale: float = 1.0, *, count: int = 3, steps: int = 5) -> str:
    """How the box certificate is beaten by rounding, draws, the attack or corners."""
    network = case.network()
    state, inputs = case.state(network, 0), case.inputs(0)
    double, names = in_dtype(state, torch.float64), perturbed_names(network, state, "weights")
    noise = Noise(format, QuantiserBox(format), scale)
    certified = upper(Certifier.of(network, state, inputs), noise, names)
    reference = Reference.of(network(double, inputs.double()).flatten(1))
    found = {"attack": float(worst_found(
        network, double, reference, inputs.double(), names, noise, seed=0
    ).max())}  # fmt: skip
    for draw in range(3):
        other = moved(network, double, unit_noise(double, names, noise.unit, seed=draw), scale)
        found[f"draw {draw}"] = float(exact_deviation(network, double, other, inputs).max())
    rounded = {
        n: scale * (torch.from_numpy(to_nearest(double[n].numpy(), format)) - double[n])
        for n in names
    }
    other = changed(network, state, rounded)
    found["rounding"] = float(exact_deviation(network, double, other, inputs).max())
    radii = {
        n: (double[n] != 0) * torch.from_numpy(grid_steps(double[n].numpy(), format)) * (scale / 2)
        for n in names
    }
    found["corners"] = corners(network, state, inputs, radii, count=count, steps=steps)
    problem = beaten(found, certified)
    return f"{case.name}, {format}: {problem}" if problem else ""


@pytest.mark.parametrize("case", BY_NAME.values(), ids=lambda case: case.name)
def test_the_box_withstands(case: Case) -> None:
    problems = [box_law(case, format) for format in STEPS]
    assert not any(problems), problems


@pytest.mark.slow
@pytest.mark.parametrize("case", BY_NAME.values(), ids=lambda case: case.name)
def test_boxes_of_other_sizes_withstand_a_long_search(case: Case) -> None:
    problems = [box_law(case, "int4", s, count=6, steps=30) for s in (1e-3, 0.3, 4.0)]
    assert not any(problems), problems


@pytest.mark.parametrize("format", STEPS)
@pytest.mark.parametrize("seed", range(3))
def test_one_layer_on_positive_inputs_is_exact(format: str, seed: int) -> None:
    """Every row is worst in one corner, all signs equal: |D x| = |r x| with r x > 0."""
    network = Network(nn.Linear(200, 5), "linear", torch.device("cpu"))
    generator = torch.Generator().manual_seed(seed)
    state = {
        "weight": torch.randn(5, 200, generator=generator, dtype=torch.float64),
        "bias": torch.randn(5, generator=generator, dtype=torch.float64),
    }
    x = torch.rand(1, 200, generator=generator, dtype=torch.float64) + 0.1
    radii = torch.from_numpy(grid_steps(state["weight"].numpy(), format)) / 2.0
    reference = Reference.of(network(state, x))
    exact = float((x @ radii.T).norm() / reference.norms)
    noise, names = noise_of(format), ("weight",)
    assert upper(Certifier.of(network, state, x), noise, names) == pytest.approx(exact, rel=1e-8)
    attacked = worst_found(network, state, reference, x, names, noise, seed=seed)
    assert float(attacked) == pytest.approx(exact, rel=1e-12)


def test_two_layers_of_equal_weights_are_exact() -> None:
    """All weights 1 and all inputs equal: growing every weight is worst, and no bound gives way."""
    network = Network(
        nn.Sequential(nn.Linear(4, 9, bias=False), nn.Linear(9, 3, bias=False)),
        "ones", torch.device("cpu"),
    )  # fmt: skip
    state = {"0.weight": torch.ones(9, 4), "1.weight": torch.ones(3, 9)}
    certified = upper(
        Certifier.of(network, state, torch.ones(1, 4)), noise_of("int4"), tuple(state)
    )
    # each weight grows by half of 1 / 7 of itself
    assert certified == pytest.approx((1.0 + 1.0 / 14.0) ** 2 - 1.0, rel=1e-6)


def test_the_norm_of_a_diagonal_box_is_its_largest_radius() -> None:
    """Schur's test, where the Frobenius norm is the root of the size times as much."""
    network = Network(nn.Linear(16, 16, bias=False), "identity", torch.device("cpu"))
    state = {"weight": torch.eye(16)}
    certifier = Certifier.of(network, state, torch.ones(1, 16))
    change = noise_of("int8").change(certifier.norms, ("weight",), certifier.ties)
    layer = _layers(certifier, change)[0]
    assert change.perturbed_norm(layer) == pytest.approx(1.0 + 0.5 / 127.0, rel=1e-6)


def _layers(certifier: Certifier, change: object) -> list[AffineLayer]:
    found: list[AffineLayer] = []

    class Recording(Box):
        def perturbed_norm(self, layer: AffineLayer, block: Block | None = None) -> float:
            found.append(layer)
            return super().perturbed_norm(layer, block)

    assert isinstance(change, Box)
    certifier.certify(Recording(change.norms, change.radii, change.ties))
    return found


@pytest.mark.parametrize("format", STEPS)
def test_a_box_is_no_looser_than_the_ball_around_it(format: str) -> None:
    for name in ("deep", "conv stride", "residual", "conv groups", "batch norm"):
        case = BY_NAME[name]
        network = case.network()
        state, inputs = case.state(network, 1), case.inputs(1)
        certifier, noise = Certifier.of(network, state, inputs), noise_of(format)
        names = perturbed_names(network, state, "weights")
        ball = certifier.ball(max(noise.sizes(state, names).values()), names).best
        assert isinstance(ball, Interval)
        assert upper(certifier, noise, names) <= ball.upper * (1.0 + 1e-6), name


def test_planted_small_box_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    case, change = BY_NAME["single"], QuantiserBox.change
    assert not box_law(case, "int4")
    monkeypatch.setattr(
        QuantiserBox, "change", lambda *given: change(*given[:2], 0.4 * given[2], *given[3:])
    )
    assert "of the certificate" in box_law(case, "int4")


def test_planted_forgotten_growth_of_the_norm_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Box, "moved_norm", lambda self, layer: 0.0)
    with pytest.raises(AssertionError):
        test_two_layers_of_equal_weights_are_exact()
