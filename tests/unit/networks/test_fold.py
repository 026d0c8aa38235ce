"""Folding a batch norm changes no function, and a batch norm that undoes a scale is no change."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from netdistance.bounds.certificates import Certifier
from netdistance.networks.affine import Norms
from netdistance.networks.change import KnownChange
from netdistance.networks.fold import folded
from netdistance.networks.graph import trace
from netdistance.networks.load import Network
from netdistance.quantities import Interval
from tests.cases.networks import Case, in_dtype, sequential
from tests.laws.adversary import exact_deviation


def case(*layers: Callable[[], nn.Module], shape: tuple[int, ...]) -> Case:
    return Case("folded", sequential(*layers), shape)


CONV = case(
    lambda: nn.Conv2d(2, 4, 3, bias=False), lambda: nn.BatchNorm2d(4), nn.ReLU,
    lambda: nn.Conv2d(4, 3, 3, stride=2), lambda: nn.BatchNorm2d(3, affine=False), nn.Flatten,
    shape=(2, 8, 8),
)  # fmt: skip
FLAT = case(lambda: nn.Linear(5, 6), lambda: nn.BatchNorm1d(6), nn.ReLU, lambda: nn.Linear(6, 2),
            shape=(5,))  # fmt: skip


def drawn(network: Network, seed: int) -> dict[str, Tensor]:
    """A state with gains, offsets and statistics of its own, float64."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, tensor in in_dtype(network.module.state_dict(), torch.float64).items():
        draw = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        state[name] = draw.abs() + 0.1 if name.endswith("running_var") else draw
        state[name] = tensor if name.endswith("tracked") else state[name]
    return state


@pytest.mark.parametrize("what", [CONV, FLAT])
def test_the_function_stays_and_the_batch_norms_scale_nothing(what: Case) -> None:
    network = what.network()
    state, x = drawn(network, 1), what.inputs(0, 5, torch.float64)
    after = folded(trace(network), network.ties, state)
    torch.testing.assert_close(network(after, x), network(state, x), rtol=1e-10, atol=1e-12)
    moved = [name for name in state if not torch.equal(after[name], state[name])]
    assert len(moved) >= 4
    for name, module in network.module.named_modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            scale = after.get(f"{name}.weight", torch.ones(1)) / torch.sqrt(
                after[f"{name}.running_var"] + module.eps
            )
            torch.testing.assert_close(scale, torch.ones_like(scale), rtol=1e-14, atol=0.0)


def rescaled(state: dict[str, Tensor], layer: str, norm: str, eps: float) -> dict[str, Tensor]:
    """The same function: every channel of the layer three times as large, and so its statistics."""
    other = dict(state)
    for name in (f"{layer}.weight", f"{layer}.bias", f"{norm}.running_mean"):
        if name in other:
            other[name] = 3.0 * other[name]
    other[f"{norm}.running_var"] = 9.0 * (state[f"{norm}.running_var"] + eps) - eps
    return other


@pytest.mark.parametrize(("what", "layer", "norm"), [(CONV, "0", "1"), (CONV, "3", "4"),
                                                     (FLAT, "0", "1")])  # fmt: skip
def test_a_batch_norm_that_undoes_a_scale_is_no_change(what: Case, layer: str, norm: str) -> None:
    network = what.network()
    state, x = drawn(network, 2), what.inputs(0, 4, torch.float64)
    other = rescaled(state, layer, norm, 1e-5)
    certifier = Certifier.of(network, state, x)
    best = certifier.known(Norms(other)).best
    unfolded = certifier.certify(KnownChange(certifier.norms, Norms(other))).best
    assert isinstance(best, Interval) and isinstance(unfolded, Interval)
    assert best.upper < 1e-9 < 1.0 < unfolded.upper


@pytest.mark.parametrize("what", [CONV, FLAT])
@pytest.mark.parametrize("seed", range(4))
def test_folded_certificates_hold_and_are_no_looser(what: Case, seed: int) -> None:
    network = what.network()
    state, x = drawn(network, seed), what.inputs(seed, 4, torch.float64)
    generator = torch.Generator().manual_seed(seed)
    other = {}
    for name, tensor in state.items():
        draw = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        other[name] = tensor * torch.exp(0.05 * draw) if tensor.is_floating_point() else tensor
    certifier = Certifier.of(network, state, x)
    best = certifier.known(Norms(other)).best
    unfolded = certifier.certify(KnownChange(certifier.norms, Norms(other))).best
    assert isinstance(best, Interval) and isinstance(unfolded, Interval)
    measured = float(exact_deviation(network, state, other, x).max())
    assert measured <= best.upper <= unfolded.upper


class ReadTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        z = self.conv(x)
        out: Tensor = self.norm(z) + z
        return out


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm, self.two = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1)
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.two(self.norm(self.one(x)))
        return out


class RunTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(self.conv(x)))
        return out


@pytest.mark.parametrize("build", [ReadTwice, Tied, RunTwice])
def test_what_cannot_be_folded_is_left_alone(build: Callable[[], nn.Module]) -> None:
    network = Case("shared", build, (2, 4, 4)).network()
    state = drawn(network, 3)
    after = folded(trace(network), network.ties, state)
    assert all(after[name] is state[name] for name in state)


def test_a_batch_norm_over_another_axis_is_found_out() -> None:
    """Rows of a linear layer, (N, T, C) with T = C: the batch norm scales rows and not numbers."""
    network = case(lambda: nn.Linear(3, 3), lambda: nn.BatchNorm1d(3), shape=(3, 3)).network()
    state, x = drawn(network, 4), torch.randn(2, 3, 3, dtype=torch.float64)
    certifier = Certifier.of(network, state, x)
    assert certifier.folded(certifier.norms) is certifier.norms
