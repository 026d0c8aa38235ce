"""Certificates where an operator is at a corner of its domain, and where float64 is at its own."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from netdistance.bounds.certificates import Certifier
from netdistance.bounds.input_sensitivity import lipschitz
from netdistance.networks.affine import Norms
from netdistance.networks.change import MovedInput
from netdistance.networks.graph import trace
from netdistance.networks.load import Network, State
from netdistance.quantities import Interval
from tests.cases.networks import Case, composed, sequential
from tests.laws.adversary import exact_deviation


def _windows_of_padding(m: nn.ModuleDict, x: Tensor) -> Tensor:
    h = torch.tanh(m["pool"](m["conv"](x))).flatten(1)
    out: Tensor = m["head"](functional.relu(m["linear"](h)))
    return out


PADDING = Case(
    "windows of padding alone",
    composed(
        _windows_of_padding,
        conv=lambda: nn.Conv1d(1, 2, 1),
        # the one window reads positions -1 and 2 of 2: its largest number is minus infinity
        pool=lambda: nn.MaxPool1d(2, 1, 1, dilation=3),
        linear=lambda: nn.Linear(2, 8),
        head=lambda: nn.Linear(8, 2),
    ),
    (1, 2),
)


def test_a_window_of_padding_alone_does_not_still_the_neurons_behind_it() -> None:
    # max pooling makes minus infinity of the bounds on each number too; the next layer carries it
    network = PADDING.network()
    a = PADDING.state(network, 0, torch.float64)
    name = next(name for name in a if name.endswith("linear.weight"))
    b = {**a, name: 1.1 * a[name]}
    inputs = PADDING.inputs(0, 1, torch.float64)
    by_neuron = Certifier.of(network, a, inputs).known(Norms(b)).rungs[-1].value
    if isinstance(by_neuron, Interval):
        assert by_neuron.upper >= float(exact_deviation(network, a, b, inputs).max())


def _in_place_on_its_input(m: nn.ModuleDict, x: Tensor) -> Tensor:
    out: Tensor = m["first"](functional.elu(x, 10.0, inplace=True)) + m["second"](x)
    return out


IN_PLACE = Case(
    "in place on its input",
    composed(_in_place_on_its_input, first=lambda: nn.Linear(4, 3), second=lambda: nn.Linear(4, 3)),
    (4,),
)


def test_norms_certificate_holds_at_inputs_unlike_the_given_ones() -> None:
    # the graph is the network on inputs without negative numbers alone, R1 is about all inputs
    network = IN_PLACE.network()
    a = IN_PLACE.state(network, 0, torch.float64)
    name = next(name for name in a if name.endswith("second.weight"))
    b = {**a, name: 1.1 * a[name]}
    inputs = IN_PLACE.inputs(0, 1, torch.float64).abs()
    by_norms = Certifier.of(network, a, inputs).known(Norms(b)).rungs[0].value
    if isinstance(by_norms, Interval):
        others = -inputs.norm() * torch.eye(4, dtype=torch.float64)
        moved = (network(b, others) - network(a, others)).norm(dim=1).max()
        assert by_norms.upper >= float(moved / network(a, inputs).norm())


def _concatenated(m: nn.ModuleDict, x: Tensor) -> Tensor:
    h = 1e60 * torch.cat([x, x], 1) + m["beside"](x)
    out: Tensor = m["deep"](h)
    return out


def test_logarithm_of_a_constant_beyond_float64_counts_a_concatenation() -> None:
    # a deviation of 1e-200 has a square of 0, so that the root of the sum of squares forgets it
    deep = sequential(*[lambda: nn.Linear(2, 2, bias=False)] * 8)
    beside = sequential(lambda: nn.Linear(1, 2, bias=False))
    network = Case("", composed(_concatenated, beside=beside, deep=deep), (1,)).network()
    state = {
        name: torch.full(own.shape, 1e-60 if "beside" in name else 1e40, dtype=torch.float64)
        for name, own in network.module.state_dict().items()
    }
    change = MovedInput(state, Norms(state), lambda name: None)
    found = lipschitz(trace(network), torch.ones(1, 1, dtype=torch.float64), change)
    # from x to (1e60, 1e60) x, then 8 times the matrix of 1e40, whose norm is 2e40
    assert found.log10 is None or found.log10 >= 60.0 + 8.0 * math.log10(2e40)


NORMALISED = Case("batch norm", sequential(lambda: nn.BatchNorm1d(1)), (1,))


def _exact_move(a: State, b: State, x: float, t: float) -> float:
    """|f_t(x) - f_0(x)| / |f_0(x)| of that network at a + t(b - a), in 50 digits."""
    with localcontext(prec=50):
        mean, var, gain, bias = (
            Decimal(float(a[f"0.{name}"])) for name in ("running_mean", "running_var",
                                                        "weight", "bias")
        )  # fmt: skip
        unit = (Decimal(x) - mean) / (var + Decimal(float.fromhex("0x1.4f8b588e368f1p-17"))).sqrt()
        moved = Decimal(t) * (Decimal(float(b["0.weight"])) - gain) * unit
        return float(abs(moved) / abs(gain * unit + bias))


def test_a_change_by_the_last_bit_is_certified_in_real_arithmetic() -> None:
    # s~ - s of two rounded numbers is off by 1e-16 of s, which is more than 1e-9 of a small change
    network: Network = NORMALISED.network()
    problems = []
    for seed in range(20):
        a = NORMALISED.state(network, seed)
        b = {**a, "0.weight": torch.nextafter(a["0.weight"], torch.tensor(9.0))}
        inputs = NORMALISED.inputs(seed, 1)
        certifier = Certifier.of(network, a, inputs)
        for t in (0.01, 0.3, 1.0):
            best = certifier.known(Norms(b), t).best
            assert isinstance(best, Interval)
            exact = _exact_move(a, b, float(inputs), t)
            problems += [(seed, t, exact / best.upper - 1.0)] if exact > best.upper else []
    assert not problems
