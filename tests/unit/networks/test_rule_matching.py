"""Which operators have a rule: every spelling, none that mixes a batch, none without a proof."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from netdistance.networks.affine import Norms
from netdistance.networks.change import KnownChange
from netdistance.networks.graph import bound_output, trace
from netdistance.networks.rules import register, unregister
from netdistance.networks.rules.activation import ACTIVATIONS
from netdistance.networks.rules.base import Call, Edge, NoRuleError
from tests.cases.networks import Case, composed, sequential


@pytest.mark.parametrize("name", [n for n, entry in ACTIVATIONS.items() if entry.module])
def test_an_activation_is_the_same_in_every_spelling(name: str) -> None:
    entry, x = ACTIVATIONS[name], torch.linspace(-4.0, 4.0, 40, dtype=torch.float64).view(2, 20)
    runs: list[Any] = [lambda m, x: getattr(functional, name)(x)]
    runs += [
        lambda m, x, n=n: getattr(torch, n)(x) for n in (name, f"{name}_") if hasattr(torch, n)
    ]
    runs += [lambda m, x, n=n: getattr(x, n)() for n in (name, f"{name}_") if hasattr(Tensor, n)]
    assert entry.module is not None
    edges = [edge_of(composed(run), x) for run in runs] + [edge_of(sequential(entry.module), x)]
    for edge in edges:
        assert torch.equal(edge.value, edges[0].value)
        assert torch.equal(edge.deviation, edges[0].deviation)


def edge_of(build: Callable[[], nn.Module], x: Tensor, size: float = 0.1) -> Edge:
    network = Case("any", build, tuple(x.shape[1:])).network()
    state = {n: t.double() for n, t in network.module.state_dict().items()}
    norms, deviation = Norms(state), torch.full((len(x),), size, dtype=torch.float64)
    change = KnownChange(norms, norms)
    return bound_output(trace(network), Edge(x.clone(), deviation), change)


MIXING: dict[str, Callable[[Tensor], Tensor]] = {
    "transpose": lambda x: x.transpose(0, 1),
    "mean": lambda x: x.mean(0),
    "amax": lambda x: x.amax(0),
    "roll": lambda x: x.roll(1, 0),
    "flip": lambda x: x.flip(0),
    "index": lambda x: x[[1, 0, 2, 2]],
    "first": lambda x: x[:1].expand(4, 4),
    "joined": lambda x: torch.cat([x[2:], x[:2]]),
    "diagonal factor": lambda x: x * x.mean(1),
    "column sums": lambda x: x.sum(0, keepdim=True).expand(4, 4),
}


@pytest.mark.parametrize("name", MIXING)
def test_no_rule_mixes_the_inputs_of_a_batch(name: str) -> None:
    """Four inputs of four numbers: no shape tells the axes apart."""
    x = torch.arange(16.0, dtype=torch.float64).view(4, 4)
    with pytest.raises(NoRuleError):
        edge_of(composed(lambda m, x: MIXING[name](x)), x)


NO_RULE: dict[str, Callable[[Tensor], Tensor]] = {
    "scaled elu": lambda x: functional.elu_(x, 1.0, 2.0),
    "celu that grows": lambda x: functional.celu(x, -1.0),
    "hardshrink": functional.hardshrink,
    "threshold": lambda x: functional.threshold(x, 0.1, 20.0),
    "square": lambda x: x**2,
    "number over value": lambda x: 1.0 / x,
    "quotient": lambda x: x / x,
    "rounded quotient": lambda x: torch.div(x, 2, rounding_mode="floor"),
    "pad by ones": lambda x: functional.pad(x, (1, 1), value=1.0),
    "bicubic": lambda x: functional.interpolate(x, scale_factor=2, mode="bicubic"),
    "indices": lambda x: functional.max_pool2d(x, 2, return_indices=True)[0],
    "dropout in training": lambda x: functional.dropout(x, 0.0),
    "batch statistics": lambda x: functional.batch_norm(x, None, None, training=True),
}


@pytest.mark.parametrize("name", NO_RULE)
def test_what_is_not_proved_has_no_rule(name: str) -> None:
    x = torch.linspace(-2.0, 2.0, 96, dtype=torch.float64).view(2, 2, 4, 6)
    with pytest.raises(NoRuleError, match="has no rule"):
        edge_of(composed(lambda m, x: NO_RULE[name](x)), x)


class Doubling(nn.Module):
    """Twice the input, which no trace goes through."""

    def forward(self, x: Tensor) -> Tensor:
        return x + x if bool((x != 0).any()) else x


class DoublingRule:
    """L = 2."""

    name = "doubling"

    def matches(self, call: Call) -> bool:
        return isinstance(call.module, Doubling)

    def apply(self, call: Call) -> Edge:
        return Edge(2.0 * call.edges[0].value, 2.0 * call.edges[0].deviation)


@pytest.fixture
def doubling() -> Iterator[DoublingRule]:
    rule = DoublingRule()
    register(rule, modules=(Doubling,))
    yield rule
    unregister(rule)


def test_a_registered_rule_covers_an_own_module(doubling: DoublingRule) -> None:
    x = torch.ones(2, 3, dtype=torch.float64)
    edge = edge_of(sequential(Doubling, nn.ReLU, Doubling), x)
    assert torch.equal(edge.value, 4.0 * x)
    assert edge.deviation.tolist() == pytest.approx([0.4, 0.4])
    unregister(doubling)
    with pytest.raises(NoRuleError, match="cannot be traced"):
        edge_of(sequential(Doubling), x)


def test_a_registered_rule_comes_before_the_built_in_ones() -> None:
    class Same:
        name = "no relu"

        def matches(self, call: Call) -> bool:
            return type(call.module) is nn.ReLU

        def apply(self, call: Call) -> Edge:
            return call.edges[0]

    rule, x = Same(), -torch.ones(1, 3, dtype=torch.float64)
    register(rule)
    try:
        assert torch.equal(edge_of(sequential(nn.ReLU), x).value, x)
    finally:
        unregister(rule)
    assert not edge_of(sequential(nn.ReLU), x).value.any()


def test_a_rule_without_its_parts_is_refused() -> None:
    with pytest.raises(TypeError, match="name, matches, apply"):
        register(object())  # type: ignore[arg-type]
