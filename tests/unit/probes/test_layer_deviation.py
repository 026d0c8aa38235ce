"""Activations and injected errors of layers against a float64 network written out by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netdistance.errors import InputError
from netdistance.networks.load import Network, State
from netdistance.probes.deviation import run
from netdistance.probes.layer_deviation import layer_deviation
from netdistance.probes.parts import call_order, parts_of
from netdistance.quantities import Estimate, Quantity, Skipped
from netdistance.report.document import LayerRow
from tests.cases.networks import SUPPORTED, Case, composed, mlp

BY_NAME = {case.name: case for case in SUPPORTED}
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
CASES = pytest.mark.parametrize("case", SUPPORTED, ids=lambda case: case.name)


def measured(
    case: Case, network: Network | None = None, *, b: State | None = None, batch_size: int = 4
) -> dict[str, LayerRow]:
    network = network or case.network()
    a = case.state(network, 0, torch.float64)
    b = case.state(network, 1, torch.float64) if b is None else b
    inputs = case.inputs(0, 10, torch.float64)
    rows = layer_deviation(network, a, b, inputs, batch_size=batch_size)
    return {row.name: row for row in rows}


def hooks(network: Network) -> list[object]:
    """Everything that a module would call around its forward."""
    return [
        hook
        for module in network.module.modules()
        for kind in (module._forward_hooks, module._forward_pre_hooks)
        for hook in kind.values()
    ]


def value(quantity: Quantity) -> float:
    assert isinstance(quantity, Estimate), quantity
    return quantity.value


def twin(changed: np.ndarray, first: np.ndarray) -> tuple[float, float]:
    """Mean and standard error of the relative distance of rows."""
    each = [
        math.sqrt(math.fsum((q - p) ** 2)) / math.sqrt(math.fsum(p**2))
        for p, q in zip(first, changed, strict=True)
    ]
    mean = math.fsum(each) / len(each)
    spread = math.fsum((e - mean) ** 2 for e in each) / (len(each) - 1)
    return mean, math.sqrt(spread / len(each))


@pytest.mark.parametrize("batch_size", [1, 3, 10, 64])
def test_layers_equal_a_numpy_network(batch_size: int) -> None:
    case = Case("three", mlp(4, 6, 5, 3), (4,))
    network = case.network()
    w = [
        {name: tensor.numpy() for name, tensor in case.state(network, seed, torch.float64).items()}
        for seed in (0, 1)
    ]
    x = case.inputs(0, 10, torch.float64).numpy()
    rows = measured(case, batch_size=batch_size)
    assert list(rows) == ["0", "2", "4"]
    h_a = h_b = x
    for name, row in rows.items():
        layer_a, layer_b = ((v[f"{name}.weight"].T, v[f"{name}.bias"]) for v in w)
        out_a, out_b = h_a @ layer_a[0] + layer_a[1], h_b @ layer_b[0] + layer_b[1]
        alone = h_a @ layer_b[0] + layer_b[1]
        for quantity, changed in ((row.relative_activation, out_b), (row.injected, alone)):
            assert isinstance(quantity, Estimate)
            expected = twin(changed, out_a)
            assert (quantity.value, quantity.stderr) == pytest.approx(expected, rel=1e-10)
        h_a, h_b = np.maximum(out_a, 0.0), np.maximum(out_b, 0.0)


@CASES
def test_a_network_and_itself_are_exactly_zero_apart(case: Case) -> None:
    network = case.network()
    same = case.state(network, 0, torch.float64)
    for row in measured(case, network, b=same).values():
        assert row.relative_activation == row.injected == Estimate(0.0, 0.0)
    assert hooks(network) == []


@CASES
def test_the_last_layer_moves_as_the_output_does(case: Case) -> None:
    network = case.network()
    a, b = (case.state(network, seed, torch.float64) for seed in (0, 1))
    inputs = case.inputs(0, 10, torch.float64)
    before = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    rows = layer_deviation(network, a, b, inputs, batch_size=4)
    assert all(isinstance(row.injected, Estimate) for row in rows)
    # the first layer is given the same by both, so that all it moves by is its own change
    assert value(rows[0].relative_activation) == value(rows[0].injected) > 0.0
    if isinstance(list(network.module.children())[-1:], list) and case.name.startswith("deep"):
        first, last = (run(network, state, inputs, batch_size=4).numpy() for state in (a, b))
        assert value(rows[-1].relative_activation) == pytest.approx(twin(last, first)[0])
    assert hooks(network) == []
    own = network.module.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in before.items())


def test_only_the_changed_layer_injects() -> None:
    case = BY_NAME["deep"]
    network = case.network()
    b = case.state(network, 0, torch.float64)
    b["4.weight"] = b["4.weight"] * 1.1
    rows = measured(case, network, b=b)
    assert [value(row.injected) > 0.0 for row in rows.values()] == [
        name == "4" for name in ("0", "2", "4", "6", "8")
    ]
    moved = [value(row.relative_activation) for row in rows.values()]
    assert moved[:2] == [0.0, 0.0] and min(moved[2:]) > 0.0
    assert moved[2] == value(rows["4"].injected)


def test_calls_of_one_module_are_numbered() -> None:
    rows = measured(BY_NAME["shared module"])
    assert list(rows) == ["0", "0#2", "0#3"]
    first = [value(row.injected) for row in rows.values()]
    assert len(set(first)) == 3


def test_layers_that_work_in_place_do_not_reach_what_was_kept() -> None:
    rows = measured(BY_NAME["residual with one in-place relu"])
    twins = measured(Case("copy", composed(
        lambda m, x: (h := torch.relu(m["first"](x))) * 0
        + torch.relu(h + m["third"](torch.relu(m["second"](h)))),
        first=lambda: nn.Linear(5, 5), second=lambda: nn.Linear(5, 5),
        third=lambda: nn.Linear(5, 5),
    ), (5,)))  # fmt: skip
    assert [value(row.injected) for row in rows.values()] == pytest.approx(
        [value(row.injected) for row in twins.values()]
    )


class Odd(nn.Module):
    """Layers that cannot be measured, each for a reason of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.used, self.unused = nn.Linear(4, 4), nn.Linear(4, 4)
        self.positions = nn.Embedding(3, 4)
        self.recurrent = nn.LSTM(4, 4, batch_first=True)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.used(x * self.scale) + self.positions(torch.arange(3)[None])
        h = self.recurrent(h)[0]
        out: Tensor = self.attention(h, h, h)[0]
        return out


def test_what_cannot_be_measured_says_why() -> None:
    case = Case("odd", Odd, (3, 4))
    rows = measured(case)
    why = {n: r.injected.reason for n, r in rows.items() if isinstance(r.injected, Skipped)}
    assert set(why) == {"positions", "unused"}
    assert "one axis that counts the inputs" in why["positions"]
    assert "never called" in why["unused"]
    assert list(rows)[:5] == ["used", "positions", "recurrent", "attention", "scale"]
    assert {"attention.in_proj_weight", "attention.out_proj.weight"} <= {
        name for part in parts_of(case.network()) for name in part.tensors.values()
    }


def test_outputs_that_overflow_are_skipped() -> None:
    case = BY_NAME["two layers"]
    network = case.network()
    b = case.state(network, 0, torch.float64)
    b["0.weight"] = torch.full_like(b["0.weight"], math.nan)
    rows = measured(case, network, b=b)
    assert isinstance(rows["0"].injected, Skipped)
    assert isinstance(rows["2"].relative_activation, Skipped)
    assert rows["2"].injected == Estimate(0.0, 0.0)


def test_a_forward_that_fails_leaves_no_hook() -> None:
    case = BY_NAME["two layers"]
    network = case.network()
    state = case.state(network, 0)
    bad = torch.ones(3, 7)
    for attempt in (
        lambda: layer_deviation(network, state, state, bad, batch_size=2),
        lambda: call_order(network, state, bad),
    ):
        with pytest.raises(InputError):
            attempt()
        assert hooks(network) == []


@pytest.fixture
def counted() -> Iterator[list[str]]:
    yield []


def test_a_hook_of_the_caller_stays(counted: list[str]) -> None:
    case = BY_NAME["two layers"]
    network = case.network()
    network.module.register_forward_hook(lambda *_: counted.append("called"))
    measured(case, network)
    assert len(hooks(network)) == 1 and counted


def test_the_order_of_calls_is_not_that_of_definition() -> None:
    case = Case("swapped", composed(
        lambda m, x: m["a"](m["b"](x)), a=lambda: nn.Linear(5, 5), b=lambda: nn.Linear(5, 5)
    ), (5,))  # fmt: skip
    network = case.network()
    order = call_order(network, case.state(network, 0), case.inputs(0))
    assert sorted(order, key=order.__getitem__) == ["", "layers.b", "layers.a"]
    assert [name for name in measured(case)] == ["layers.b", "layers.a"]
