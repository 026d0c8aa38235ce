"""Which modules are layers, and which axis of what they give counts the inputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netdistance.probes.deviation import run
from netdistance.probes.layer_deviation import layer_deviation
from netdistance.quantities import Skipped
from tests.cases.networks import Case
from tests.unit.probes.test_layer_deviation import measured, twin, value


class Gated(nn.Module):
    """A layer with a tensor of its own, an activation without one, and a layer inside."""

    def __init__(self, inner: bool) -> None:
        super().__init__()
        self.gain, self.act = nn.Parameter(torch.ones(4)), nn.Tanh()
        self.inner = nn.Linear(4, 4) if inner else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.inner(x)) * self.gain
        return out


@pytest.mark.parametrize("inner", [False, True])
def test_a_layer_with_children_is_measured(inner: bool) -> None:
    case = Case("gated", lambda: nn.Sequential(nn.Linear(4, 4), Gated(inner)), (4,))
    network = case.network()
    a, b = (case.state(network, seed, torch.float64) for seed in (0, 1))
    rows = measured(case, network)
    assert list(rows) == (["0", "1.inner", "1"] if inner else ["0", "1"])
    x = case.inputs(0, 10, torch.float64)
    first, last = (run(network, state, x, batch_size=4).numpy() for state in (a, b))
    assert value(rows["1"].relative_activation) == pytest.approx(twin(last, first)[0])
    # by its own tensor alone: what is inside of it stays as it is in a
    alone = run(network, {**a, "1.gain": b["1.gain"]}, x, batch_size=4).numpy()
    assert value(rows["1"].injected) == pytest.approx(twin(alone, first)[0])


class TimeFirst(nn.Module):
    """(N, T, 4) to scores, by layers that take (T, N, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.recurrent, self.b = nn.Linear(4, 6), nn.GRU(6, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.b(self.recurrent(self.a(x.transpose(0, 1)))[0]).transpose(0, 1)
        return out


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10])
def test_the_axis_of_the_inputs_is_not_taken_for_that_of_time(batch_size: int) -> None:
    case = Case("time first", TimeFirst, (3, 4))
    network = case.network()
    rows = measured(case, network, batch_size=batch_size)
    x = case.inputs(0, 10, torch.float64)
    first, last = (
        run(network, case.state(network, seed, torch.float64), x, batch_size=10).numpy()
        for seed in (0, 1)
    )
    assert value(rows["b"].relative_activation) == pytest.approx(twin(last, first)[0])
    w = [case.state(network, seed, torch.float64) for seed in (0, 1)]
    h = [(x @ s["a.weight"].T + s["a.bias"]).flatten(1).numpy() for s in w]
    assert value(rows["a"].injected) == pytest.approx(twin(h[1], h[0])[0])
    assert list(rows) == ["a", "recurrent", "b"]
    one = layer_deviation(network, w[0], w[1], x[:1], batch_size=1)
    by_hand = np.linalg.norm(h[1][0] - h[0][0]) / np.linalg.norm(h[0][0])
    assert value(one[0].injected) == pytest.approx(float(by_hand))


def test_a_weight_that_a_module_computes_is_no_activation() -> None:
    """A parametrized layer of as many outputs as there are inputs in a batch."""
    case = Case(
        "parametrized",
        lambda: nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), nn.Linear(4, 2)
        ),
        (4,),
    )
    network = case.network()
    rows = measured(case, network, batch_size=4)
    assert list(rows) == ["0", "1"]
    x = case.inputs(0, 10, torch.float64)
    first, last = (
        run(network, case.state(network, seed, torch.float64), x, batch_size=10).numpy()
        for seed in (0, 1)
    )
    assert value(rows["1"].relative_activation) == pytest.approx(twin(last, first)[0])


def test_an_output_whose_inputs_cannot_be_told_apart_is_skipped() -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.layer(x.flatten(0, 1)).view(len(x), -1)
            return out

    case = Case("flat", Flat, (3, 4))
    row = measured(case, batch_size=1)["layer"]
    assert isinstance(row.injected, Skipped)
    assert isinstance(row.relative_activation, Skipped)
