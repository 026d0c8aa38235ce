"""The worst to first order where there is little to find, and where gradients are not to be had."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import netdistance
from netdistance import PerturbOptions
from netdistance.bounds import ladder
from netdistance.bounds.gradients import Linearised
from netdistance.bounds.linear_worst import linear_worst
from netdistance.networks.load import Network, State
from netdistance.probes.deviation import UNDEFINED, Reference
from netdistance.probes.noise import RELATIVE_GAUSSIAN
from netdistance.quantities import Exact, Skipped

X = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))


class Own(torch.autograd.Function):
    """tanh with a backward of one's own: right, and with more or less of a graph."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: float) -> Tensor:
        out = x.tanh()
        ctx.save_for_backward(out)
        ctx.kept = kept
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (out,) = ctx.saved_tensors
        slope = grads[0] * (1.0 - out.detach() ** 2)
        return ctx.kept * slope + (1.0 - ctx.kept) * slope.detach(), None


class Middle(nn.Module):
    """Two layers, and something between them."""

    def __init__(self, middle: nn.Module | float) -> None:
        super().__init__()
        self.middle = middle
        self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        between = Own.apply(h, self.middle) if isinstance(self.middle, float) else self.middle(h)
        out: Tensor = self.b(between)
        return out


def made(middle: nn.Module | float) -> tuple[Network, State]:
    generator = torch.Generator().manual_seed(1)
    network = Network(Middle(middle).eval().requires_grad_(False), "m", torch.device("cpu"))
    shapes = network.module.state_dict()
    return network, {
        name: torch.randn(own.shape, generator=generator) for name, own in shapes.items()
    }


def worst(
    network: Network, state: State, x: Tensor = X, names: tuple[str, ...] | None = None
) -> Exact | Skipped:
    reference = Reference.of(network(state, X).flatten(1)).first(len(x))
    chosen = network.parameters if names is None else names
    return linear_worst(network, state, reference, x, chosen, RELATIVE_GAUSSIAN, seed=0)


def test_where_there_is_nothing_to_find() -> None:
    network, state = made(nn.Tanh())
    assert worst(network, state, names=()) == Exact(0.0)
    assert worst(network, state, X[:0]) == Skipped("no inputs; give --certify 1 or more")
    zero = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    assert worst(network, zero) == Skipped(UNDEFINED)
    unmoved = {name: t * (name != "a.weight") for name, t in state.items()}
    assert worst(network, unmoved, names=("a.weight",)) == Exact(0.0)


def test_a_backward_of_ones_own_is_followed_where_it_can_be_differentiated() -> None:
    expected = worst(*made(nn.Tanh()))
    found = worst(*made(1.0))
    assert isinstance(found, Exact) and isinstance(expected, Exact)
    assert found.value == pytest.approx(expected.value, rel=1e-5)


class Once(torch.autograd.Function):
    """tanh whose backward torch refuses to differentiate."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        out = x.tanh()
        ctx.save_for_backward(out)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (out,) = ctx.saved_tensors
        slope: Tensor = grads[0] * (1.0 - out**2)
        return slope


class OnceModule(nn.Module):
    """`Once` as a module."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = Once.apply(x)
        return out


@pytest.mark.parametrize("middle", [0.0, 0.5, OnceModule()], ids=str)
def test_a_backward_that_loses_a_part_is_found_out(middle: nn.Module | float) -> None:
    """A part that has no derivative, beside one that has: nothing raises for the wrong number."""
    found = worst(*made(middle))
    assert found == Skipped("the gradient has another derivative than the outputs")


def test_without_any_derivative_along_a_change_it_is_skipped_and_why() -> None:
    network = Network(nn.Sequential(nn.Linear(4, 3), OnceModule()), "m", torch.device("cpu"))
    found = worst(network, dict(network.module.state_dict()))
    assert isinstance(found, Skipped)
    assert found.reason.startswith("no derivative along a change: ")


@pytest.mark.parametrize("middle", [nn.Tanh(), nn.Hardsigmoid(), nn.ReLU()], ids=str)
def test_products_from_both_sides_agree(middle: nn.Module) -> None:
    """By a second backward pass, and in forward mode where there is none: <J' u, D> = <u, J D>."""
    network, state = made(middle)
    linear = Linearised(network, state, network.parameters, X)
    generator = torch.Generator().manual_seed(2)
    u = torch.randn(linear.outputs.shape, generator=generator)
    change = {n: torch.randn(t.shape, generator=generator) for n, t in state.items()}
    left = sum(float((slope * change[name]).sum()) for name, slope in linear.pulled(u).items())
    assert float((u * linear.pushed(change)).sum()) == pytest.approx(left, rel=1e-4)
    one = {"b.bias": change["b.bias"]}
    assert torch.allclose(linear.pushed(one), change["b.bias"].expand(2, 3))
    assert not linear.pushed({}).any()


def test_it_is_found_once_for_each_noise_and_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    real = ladder.linear_worst

    def counted(*args: Any, **settings: Any) -> Exact | Skipped:
        calls.append(args[5])
        return real(*args, **settings)

    monkeypatch.setattr(ladder, "linear_worst", counted)
    module = made(nn.ReLU())[0].module
    options = PerturbOptions(
        model=module, inputs=X, draws=2, certify=2, noise=("0.01", "0.02", "0.05", "int8", "int4")
    )
    sweep = netdistance.perturb(module, options).sweep or ()
    assert len(calls) == 4  # the ball in two scopes, and two boxes
    levels = {
        place.noise: next(row.value for row in place.bounds if row.name == "first_order_worst")
        for place in sweep
        if place.scope == "weights"
    }
    small, large = levels["0.01"], levels["0.05"]
    assert isinstance(small, Exact) and isinstance(large, Exact)
    assert large.value == pytest.approx(5.0 * small.value, rel=1e-12)
