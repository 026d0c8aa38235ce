"""The worst to first order: closed forms, the attack where both must agree, and certificates."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from netdistance.bounds.attack import worst_found
from netdistance.bounds.certificates import Certifier
from netdistance.bounds.linear_worst import linear_worst
from netdistance.networks.load import Network, State
from netdistance.probes.deviation import Reference
from netdistance.probes.noise import RELATIVE_GAUSSIAN, Noise, perturbed_names
from netdistance.probes.noise_levels import noise_of
from netdistance.probes.quantiser_box import QuantiserBox
from netdistance.quantities import Exact, Interval
from tests.cases.networks import SUPPORTED, Case, in_dtype, mlp
from tests.cases.wider import WIDER
from tests.oracles.rounding import grid_steps

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel"),
    pytest.mark.filterwarnings("ignore:There is a performance drop"),
]

BY_NAME = {case.name: case for case in (*SUPPORTED, *WIDER)}
RELU = (
    "two layers", "deep", "deep without bias", "residual", "conv stride", "conv groups",
    "shared parameter", "used twice", "batch norm",
)  # fmt: skip


class Trial:
    """A network in float64, its inputs, and both searches on them."""

    def __init__(self, case: Case, seed: int, count: int = 3) -> None:
        self.network = case.network()
        self.state: State = in_dtype(case.state(self.network, seed), torch.float64)
        self.inputs = case.inputs(seed, count).double()
        with torch.no_grad():
            outputs = self.network(self.state, self.inputs).flatten(1)
        self.reference = Reference.of(outputs)

    def linear(self, names: tuple[str, ...], noise: Noise, seed: int = 0) -> float:
        found = linear_worst(
            self.network, self.state, self.reference, self.inputs, names, noise.unit, seed=seed
        )
        assert isinstance(found, Exact), found
        return noise.scale * found.value

    def attack(self, names: tuple[str, ...], noise: Noise, seed: int = 0) -> float:
        found = worst_found(
            self.network, self.state, self.reference, self.inputs, names, noise, seed=seed
        )
        return float(found.max())

    def weights(self) -> tuple[str, ...]:
        return perturbed_names(self.network, self.state, "weights")


def test_one_layer_in_a_ball_is_the_closed_form() -> None:
    """D x is longest for D = |W|_F u x' / |x|, of any unit u: |W|_F |x| long."""
    trial = Trial(Case("one", mlp(7, 4, bias=False), (7,)), 1)
    weight, x = trial.state["0.weight"], trial.inputs
    exact = weight.norm() * x.norm(dim=1) / (x @ weight.T).norm(dim=1)
    found = trial.linear(("0.weight",), noise_of("0.25"))
    assert found == pytest.approx(0.25 * float(exact.max()), rel=1e-12)


@pytest.mark.parametrize("format", ["int8", "int4"])
def test_one_layer_in_a_box_is_the_closed_form(format: str) -> None:
    """Row i of D x is at most r_i |x|, and every row can be: one corner has them all."""
    trial = Trial(Case("one", mlp(7, 4, bias=False), (7,)), 2)
    weight, x = trial.state["0.weight"], trial.inputs
    radii = torch.from_numpy(grid_steps(weight.numpy(), format)) / 2.0
    exact = (x.abs() @ radii.T).norm(dim=1) / (x @ weight.T).norm(dim=1)
    found = trial.linear(("0.weight",), noise_of(format))
    assert found == pytest.approx(float(exact.max()), rel=1e-12)


def test_a_bias_alone_is_the_closed_form() -> None:
    trial = Trial(Case("one", mlp(7, 4), (7,)), 3)
    exact = trial.state["0.bias"].norm() / trial.reference.norms.min()
    assert trial.linear(("0.bias",), noise_of("0.1")) == pytest.approx(0.1 * float(exact), rel=1e-9)


@pytest.mark.parametrize("text", ["0.3", "int4"])
@pytest.mark.parametrize("layer", range(3))
@pytest.mark.parametrize("seed", range(3))
def test_where_the_network_is_linear_it_is_what_the_attack_finds(
    text: str, layer: int, seed: int
) -> None:
    """Linear in the one layer that moves, so that nothing is left out at any level."""
    trial = Trial(BY_NAME["deep linear"], seed, count=2)
    names = (f"{layer}.weight",)
    noise = noise_of(text)
    # corners of a box are many: the attack needs more starts than the two of the estimate
    attacked = max(trial.attack(names, noise, start) for start in range(12))
    assert trial.linear(names, noise) == pytest.approx(attacked, rel=0.01)


@pytest.mark.parametrize("name", RELU)
@pytest.mark.parametrize("format", ["", "int8"])
def test_small_noise_reaches_it(name: str, format: str) -> None:
    """At a level of 1e-4 few neurons switch: within a tenth of the best of some attacks."""
    trial = Trial(BY_NAME[name], 0)
    noise = Noise("small", QuantiserBox(format) if format else RELATIVE_GAUSSIAN, 1e-4)
    attacked = max(trial.attack(trial.weights(), noise, start) for start in range(3))
    assert trial.linear(trial.weights(), noise) == pytest.approx(attacked, rel=0.1)


@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize("format", ["", "int4"])
def test_no_certificate_is_below_it(name: str, format: str) -> None:
    """A certificate covers f(W + D) - f(W) = J D + O(level^2): it is above, but for O(level)."""
    level = 1e-5
    trial = Trial(BY_NAME[name], 1)
    noise = Noise("tiny", QuantiserBox(format) if format else RELATIVE_GAUSSIAN, level)
    certifier = Certifier.of(trial.network, trial.state, trial.inputs)
    change = noise.change(certifier.norms, trial.weights(), certifier.ties)
    found, best = trial.linear(trial.weights(), noise), certifier.certify(change).best
    assert isinstance(best, Interval)
    assert 0.0 < found <= best.upper * (1.0 + 100.0 * level)


def test_it_is_at_least_what_any_draw_does_to_the_linearised_network() -> None:
    """J D of random D in the ball, by finite differences, stays below."""
    trial = Trial(BY_NAME["deep"], 2)
    found = trial.linear(trial.weights(), noise_of("1"))
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        drawn = {n: RELATIVE_GAUSSIAN.draw(trial.state[n], generator) for n in trial.weights()}
        moved = {n: t + 1e-7 * drawn.get(n, torch.zeros(())) for n, t in trial.state.items()}
        outputs = trial.network(moved, trial.inputs).flatten(1)
        assert float(trial.reference.deviation(outputs).max()) <= 1e-7 * found * (1.0 + 1e-3)


def test_it_depends_on_the_seed_alone() -> None:
    trial = Trial(BY_NAME["deep"], 0)
    once, again = (trial.linear(trial.weights(), noise_of("int4"), 5) for _ in range(2))
    assert once == again and math.isfinite(once)


class Attention(nn.Module):
    """One head; what its second derivative needs, torch's fused kernels do not have."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(4, 12)

    def forward(self, x: Tensor) -> Tensor:
        heads = self.query(x).unsqueeze(1).chunk(3, dim=-1)
        attended: Tensor = nn.functional.scaled_dot_product_attention(*heads)
        return attended.squeeze(1)


@pytest.mark.parametrize(
    "build",
    [
        Attention,
        lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True),
        lambda: nn.LayerNorm((3, 4)),
    ],
    ids=["attention", "encoder", "layer norm"],
)
def test_operators_without_a_certificate_have_it(build: type[nn.Module]) -> None:
    trial = Trial(Case("other", build, (3, 4)), 0)
    names, noise = perturbed_names(trial.network, trial.state, "all"), noise_of("1e-5")
    attacked = max(trial.attack(names, noise, start) for start in range(3))
    assert trial.linear(names, noise) == pytest.approx(attacked, rel=0.05)


def test_planted_lost_layer_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ascent that leaves a layer out is below the attack."""
    ascend = type(RELATIVE_GAUSSIAN).ascend
    monkeypatch.setattr(
        type(RELATIVE_GAUSSIAN), "ascend",
        lambda self, extent, slope: None if slope.shape == (8, 8) else ascend(self, extent, slope),
    )  # fmt: skip
    trial = Trial(BY_NAME["deep"], 0)
    lost = trial.linear(trial.weights(), noise_of("0.0001"))
    monkeypatch.undo()
    assert lost < 0.9 * trial.attack(trial.weights(), noise_of("0.0001"))


def test_a_network_is_moved_together_where_a_tensor_is_shared() -> None:
    """x -> W W x: J D = W D x + D W x, of the one tensor."""
    trial = Trial(BY_NAME["used twice"], 0, count=1)
    network: Network = trial.network
    (name,) = trial.weights()

    def output(weight: Tensor) -> Tensor:
        return network({**trial.state, name: weight}, trial.inputs).flatten()

    jacobian = torch.autograd.functional.jacobian(output, trial.state[name])
    exact = torch.linalg.matrix_norm(jacobian.flatten(1), 2) * trial.state[name].norm()
    assert trial.linear((name,), noise_of("1")) == pytest.approx(
        float(exact / trial.reference.norms[0]), rel=1e-3
    )
