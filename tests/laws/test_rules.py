"""No rule is ever exceeded: |f~(x + e) - f(x)| <= d_out for |e| <= d_in and changed weights.

Each case is searched by random directions, by single coordinates and by ascent, and has to come as
near to its bound as its floor says, so that a uselessly loose rule is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from netdistance.networks import graph
from netdistance.networks.affine import Norms
from netdistance.networks.change import Ball, Change, KnownChange
from netdistance.networks.graph import bound_output, trace
from netdistance.networks.load import Network
from netdistance.networks.rules import RULES
from netdistance.networks.rules.base import Call, Edge, Rule
from tests.cases.networks import Case, composed, sequential

SIZES = (1e-3, 0.5, 30.0)  # of the deviation that arrives


@dataclass(frozen=True)
class Law:
    """An operator of one rule, and the share of its bound that a search reaches."""

    rule: str
    case: Case
    floor: float

    def __str__(self) -> str:
        return f"{self.rule}: {self.case.name}"


class Holds(nn.Module):
    """Tensors of its own and a forward that uses them."""

    def __init__(self, run: Callable[[Any, Tensor], Tensor], **shapes: tuple[int, ...]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)))
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def law(rule: str, floor: float, name: str, what: Any, *shape: int) -> Law:
    """A case of a function of the input, or of a module builder."""
    build = sequential(what) if isinstance(what, type | Layer) else composed(lambda m, x: what(x))
    return Law(rule, Case(name, build, shape), floor)


@dataclass(frozen=True)
class Layer:
    """A builder of a module, told from a function of the input."""

    make: Callable[[], nn.Module]

    def __call__(self) -> nn.Module:
        return self.make()


def holding(rule: str, floor: float, name: str, run: Any, *shape: int, **shapes: Any) -> Law:
    return Law(rule, Case(name, lambda: Holds(run, **shapes), shape), floor)


def _unpacked(x: Tensor) -> Tensor:
    left, right = x.split([1, 3], 1)
    return torch.cat([right, left], 1)


IMAGE = (2, 5, 6)
LAWS: tuple[Law, ...] = (
    law("linear", 0.99, "linear", Layer(lambda: nn.Linear(5, 4, bias=False)), 5),
    law("linear", 0.99, "rows", Layer(lambda: nn.Linear(3, 4)), 4, 3),
    holding("linear", 0.99, "function", lambda m, x: functional.linear(x, m.w, m.b), 5, w=(4, 5),
            b=(4,)),
    holding("matrix", 0.99, "matmul", lambda m, x: x @ m.w, 5, w=(5, 3)),
    law("convolution", 0.99, "conv", Layer(lambda: nn.Conv2d(2, 3, 3, padding=1, bias=False)),
        *IMAGE),
    law("convolution", 0.99, "strided", Layer(lambda: nn.Conv2d(2, 4, 3, stride=2, groups=2)),
        *IMAGE),
    holding("convolution", 0.99, "function", lambda m, x: functional.conv2d(x, m.w, m.b, padding=1),
            *IMAGE, w=(3, 2, 2, 2), b=(3,)),
    law("transposed_convolution", 0.99, "up", Layer(
        lambda: nn.ConvTranspose2d(2, 3, 2, stride=2, bias=False)), *IMAGE),
    law("transposed_convolution", 0.99, "overlapping", Layer(lambda: nn.ConvTranspose2d(
        2, 4, 3, stride=2, padding=1, output_padding=1, groups=2)), *IMAGE),
    law("transposed_convolution", 0.99, "dilated", Layer(lambda: nn.ConvTranspose1d(
        2, 3, 2, stride=2, dilation=3, output_padding=2)), 2, 5),
    holding("transposed_convolution", 0.99, "function",
            lambda m, x: functional.conv_transpose1d(x, m.w, m.b, stride=2), 2, 5, w=(2, 3, 3),
            b=(3,)),
    law("batch_norm", 0.99, "flat", Layer(lambda: nn.BatchNorm1d(4)), 4),
    law("batch_norm", 0.99, "images", Layer(lambda: nn.BatchNorm2d(2)), *IMAGE),
    law("batch_norm", 0.999, "not affine", Layer(lambda: nn.BatchNorm2d(2, affine=False)), *IMAGE),
    law("activation", 0.86, "tanh", nn.Tanh, 3),
    law("activation", 0.999, "relu", torch.relu, 5),
    law("activation", 0.99, "softplus at its threshold", lambda x: functional.softplus(x, 2, 0.1),
        3),
    law("prelu", 0.9, "one weight", nn.PReLU, 5),
    law("prelu", 0.9, "a weight for each channel", Layer(lambda: nn.PReLU(2)), *IMAGE),
    law("reshape", 0.999, "flatten", nn.Flatten, *IMAGE),
    law("piece", 0.999, "chunk", lambda x: x.chunk(2, 1)[1], 4, 3),
    law("piece", 0.7, "unpacked", _unpacked, 4, 3),
    law("nonnegative", 0.999, "slice", lambda x: x[:, 1:, ::2], *IMAGE),
    law("nonnegative", 0.999, "transpose", lambda x: x.permute(0, 3, 1, 2), *IMAGE),
    law("nonnegative", 0.999, "pad", lambda x: functional.pad(x, (1, 2, 0, 1)), *IMAGE),
    law("nonnegative", 0.999, "reflect", lambda x: functional.pad(x, (1, 2), mode="reflect"), 2, 5),
    law("nonnegative", 0.999, "average", Layer(lambda: nn.AvgPool2d((5, 2))), *IMAGE),
    law("nonnegative", 0.82, "overlapping average", Layer(lambda: nn.AvgPool2d(
        3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)), *IMAGE),
    law("nonnegative", 0.7, "adaptive average", Layer(lambda: nn.AdaptiveAvgPool2d((2, 4))),
        *IMAGE),
    law("nonnegative", 0.999, "mean", lambda x: x.mean((2, 3)), *IMAGE),
    law("nonnegative", 0.999, "nearest", Layer(lambda: nn.Upsample(scale_factor=(2, 3))), *IMAGE),
    law("nonnegative", 0.94, "bilinear", lambda x: functional.interpolate(
        x, size=(7, 9), mode="bilinear"), *IMAGE),
    law("max_pool", 0.999, "max", Layer(lambda: nn.MaxPool2d(2)), *IMAGE),
    law("max_pool", 0.999, "overlapping max", Layer(
        lambda: nn.MaxPool1d(3, stride=1, padding=1)), 1, 5),
    law("max_pool", 0.999, "dilated max", lambda x: functional.max_pool1d(
        x, 2, stride=1, dilation=3), 1, 7),
    law("max_pool", 0.99, "adaptive max", Layer(lambda: nn.AdaptiveMaxPool2d((2, 4))), *IMAGE),
    law("extreme", 0.999, "amax", lambda x: x.amax((2, -1)), *IMAGE),
    law("add", 0.999, "doubled", lambda x: x + x, 5),
    law("add", 0.7, "difference", lambda x: x[:, :3] - x[:, 3:], 6),
    holding("add", 0.99, "offset", lambda m, x: x + m.b, 4, 3, b=(3,)),
    law("scale", 0.999, "scaled", lambda x: -2.5 * x / 3, 5),
    law("product", 0.6, "gate", lambda x: x[:, :3] * x[:, 3:], 6),
    law("product", 0.95, "channel gate", lambda x: x * x.mean((2, 3), keepdim=True), *IMAGE),
    holding("product", 0.99, "factor", lambda m, x: m.g * x, 4, 3, g=(4, 1)),
    law("concatenation", 0.999, "joined", lambda x: torch.cat([x, 1 - x], 1), 5),
    law("concatenation", 0.999, "stacked", lambda x: torch.stack((x, x), dim=-1), 5),
)  # fmt: skip


def changes(law: Law, seed: int) -> Iterator[tuple[Network, dict[str, Tensor], Change, float]]:
    """The network with no change, a known one of everything, and a ball of 0.3."""
    network = law.case.network()
    a = law.case.state(network, seed, torch.float64)
    b = law.case.state(network, seed + 50, torch.float64)
    yield network, a, KnownChange(Norms(a), Norms(a)), 0.0
    if network.parameters:
        half = {name: a[name] + 0.5 * (b[name] - a[name]) for name in a if a[name].ndim}
        yield network, {**a, **half}, KnownChange(Norms(a), Norms(b), 0.5), 0.0
        yield network, a, Ball(Norms(a), 0.3, frozenset(network.parameters), network.ties), 0.3


def reached(law: Law, seed: int, steps: int) -> float:
    """The largest found |f~(x + e) - f(x)| over its bound."""
    worst = 0.0
    for network, state, change, level in changes(law, seed):
        traced, x = trace(network), law.case.inputs(seed, 1, torch.float64) * 2.0
        for size in SIZES:
            distance = size * x.norm()
            bound = bound_output(traced, Edge(x, distance.view(1)), change)
            radii = {n: level * change.state[n].norm() for n in network.parameters if level}
            found = largest(network, state, x, bound.value, distance, radii, steps)
            worst = max(worst, found / float(bound.deviation))
    return worst


def largest(
    network: Network,
    state: dict[str, Tensor],
    x: Tensor,
    before: Tensor,
    distance: Tensor,
    radii: dict[str, Tensor],
    steps: int,
) -> float:
    """The largest |f~(x + e) - before| by single coordinates, random directions and ascent."""
    generator = torch.Generator().manual_seed(2)
    axes = torch.eye(x.numel(), dtype=x.dtype).view(-1, *x.shape[1:])
    ones = torch.ones_like(x)
    noise = torch.randn((8, *x.shape[1:]), generator=generator, dtype=x.dtype)
    e = on_sphere(torch.cat([axes, -axes, ones, -ones, x, noise]), distance)
    moves = {n: on_sphere(change_of(state[n], generator), r).squeeze(0) for n, r in radii.items()}
    best = 0.0
    for _ in range(steps):
        e.requires_grad_()
        leaves = {n: (state[n] + move).requires_grad_() for n, move in moves.items()}
        outputs = network({**state, **leaves}, (x + e)).reshape(len(e), -1)
        squares = (outputs - before.reshape(1, -1)).square().sum(1)
        best = max(best, float(squares.detach().max().sqrt()))
        wanted = [e, *leaves.values()]
        # the weights follow the member that is furthest
        found = torch.autograd.grad(squares.sum(), wanted[:1], retain_graph=True, allow_unused=True)
        own = torch.autograd.grad(squares.max(), wanted[1:], allow_unused=True) if leaves else ()
        e = on_sphere(e.detach() + _or_zero(found[0], e) * 1e6, distance)
        for name, gradient in zip(leaves, own, strict=True):
            moves[name] = on_sphere(_or_zero(gradient, moves[name])[None] * 1e6
                                    + moves[name], radii[name]).squeeze(0)  # fmt: skip
    return best


def _or_zero(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient


def change_of(weight: Tensor, generator: torch.Generator) -> Tensor:
    draw = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    return (weight + 0.3 * draw * weight.norm() / draw.norm())[None]


def on_sphere(e: Tensor, radius: Tensor) -> Tensor:
    norms = e.detach().flatten(1).norm(dim=1).clamp(min=1e-300)
    return e.detach() * (radius / norms).view(-1, *[1] * (e.ndim - 1))


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_no_search_exceeds_a_rule(law: Law) -> None:
    ratio = reached(law, 0, 15)
    assert ratio <= 1.0 + 1e-9
    assert ratio >= law.floor


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS, ids=str)
def test_no_long_search_exceeds_a_rule(law: Law) -> None:
    assert max(reached(law, seed, 60) for seed in range(1, 8)) <= 1.0 + 1e-9


def test_every_rule_that_bounds_has_a_law() -> None:
    assert {law.rule for law in LAWS} == {rule.name for rule in RULES} - {"size"}


class Shrunk:
    """A rule that gives a part of its bound."""

    def __init__(self, rule: Rule, part: float) -> None:
        self.rule, self.name, self.part = rule, rule.name, part

    def matches(self, call: Call) -> bool:
        return self.rule.matches(call)

    def apply(self, call: Call) -> object:
        edge = self.rule.apply(call)
        return Edge(edge.value, edge.deviation * self.part) if isinstance(edge, Edge) else edge


@pytest.mark.parametrize("name", sorted({law.rule for law in LAWS}))
def test_planted_part_of_a_rule_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    best = max((law for law in LAWS if law.rule == name), key=lambda law: law.floor)
    rules = tuple(Shrunk(r, 0.9 * best.floor) if r.name == name else r for r in RULES)
    monkeypatch.setattr(graph, "RULES", rules)
    assert reached(best, 0, 15) > 1.0 + 1e-9
