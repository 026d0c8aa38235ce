"""Exchanged layers: the schemes against states put together by hand, and the laws they obey."""

from __future__ import annotations

import math

import pytest
import torch

from netdistance.networks.load import Network, State
from netdistance.probes import attribution
from netdistance.probes.attribution import attribute
from netdistance.probes.deviation import Reference, mean_over_inputs, run
from netdistance.quantities import Estimate, Exact, Quantity, Skipped, point
from tests.cases.networks import SUPPORTED, Case, composed, mlp

BY_NAME = {case.name: case for case in SUPPORTED}
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
CASES = pytest.mark.parametrize("case", SUPPORTED, ids=lambda case: case.name)
Found = dict[str, dict[str, Quantity]]


def pair(case: Case) -> tuple[Network, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    network = case.network()
    a, b = (case.state(network, seed, torch.float64) for seed in (0, 1))
    return network, a, b


def by_scheme(network: Network, a: State, b: State, case: Case, count: int = 10) -> Found:
    inputs = case.inputs(0, count, torch.float64)
    found: Found = {scheme: {} for scheme in attribution.SCHEMES}
    for row in attribute(network, a, b, inputs, batch_size=4):
        found[row.scheme][row.layer] = row.value
        assert row.inputs == count
    return found


def deviation(network: Network, a: State, state: State, case: Case) -> float:
    """The mean relative deviation of a state, input by input."""
    each = []
    for x in case.inputs(0, 10, torch.float64):
        first, second = (run(network, s, x[None], batch_size=1)[0].tolist() for s in (a, state))
        each.append(math.dist(first, second) / math.hypot(*first))
    return math.fsum(each) / len(each)


def total(values: Found) -> float:
    return math.fsum(point(q) or 0.0 for q in values["telescoping"].values())


@CASES
def test_telescoping_sums_to_the_deviation(case: Case) -> None:
    network, a, b = pair(case)
    found = by_scheme(network, a, b, case)
    assert total(found) == pytest.approx(deviation(network, a, b, case), rel=1e-9)
    assert len({tuple(of) for of in found.values()}) == 1


@CASES
def test_a_network_and_itself_owe_nothing_to_any_layer(case: Case) -> None:
    network, a, _ = pair(case)
    again = {name: tensor.clone() for name, tensor in a.items()}
    for values in by_scheme(network, a, again, case).values():
        assert set(values.values()) == {Exact(0.0)}


@CASES
def test_the_only_layer_that_changed_is_all_of_it(case: Case) -> None:
    network, a, b = pair(case)
    layer, ties = next(iter(by_scheme(network, a, b, case)["swap_in"])), network.ties
    names = [n for n in a if ties[n] == layer or ties[n].rpartition(".")[0] == layer]
    moved = {**a, **{name: b[name] for name in names}}
    inputs = case.inputs(0, 10, torch.float64)
    outputs = [run(network, state, inputs, batch_size=4) for state in (a, moved)]
    whole = mean_over_inputs(Reference.of(outputs[0]).deviation(outputs[1]))
    for values in by_scheme(network, a, moved, case).values():
        assert values.pop(layer) == whole
        assert set(values.values()) <= {Exact(0.0)}


def test_schemes_equal_states_put_together_by_hand() -> None:
    case = Case("four", mlp(4, 6, 5, 5, 3), (4,))
    network, a, b = pair(case)
    found = by_scheme(network, a, b, case)
    layers = ["0", "2", "4", "6"]
    assert list(found["telescoping"]) == layers
    reached = 0.0
    for place, layer in enumerate(layers):
        alone = {n: (b if n.split(".")[0] == layer else a)[n] for n in a}
        without = {n: (a if n.split(".")[0] == layer else b)[n] for n in a}
        so_far = {n: (b if n.split(".")[0] in layers[: place + 1] else a)[n] for n in a}
        expected = {
            "swap_in": deviation(network, a, alone, case),
            "swap_out": deviation(network, a, b, case) - deviation(network, a, without, case),
            "telescoping": deviation(network, a, so_far, case) - reached,
        }
        reached = deviation(network, a, so_far, case)
        for scheme, value in expected.items():
            assert point(found[scheme][layer]) == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_the_order_is_that_of_the_calls() -> None:
    linear = torch.nn.Linear
    case = Case("swapped", composed(
        lambda m, x: m["a"](m["b"](x)), a=lambda: linear(5, 5), b=lambda: linear(5, 5)
    ), (5,))  # fmt: skip
    network, a, b = pair(case)
    assert list(by_scheme(network, a, b, case)["swap_in"]) == ["layers.b", "layers.a"]


def test_tied_tensors_go_together() -> None:
    case = BY_NAME["shared parameter"]
    network, a, b = pair(case)
    found = by_scheme(network, a, b, case)["swap_in"]
    assert list(found) == ["0", "2", "4"]
    both = {n: (b if n in ("0.weight", "0.bias", "2.weight") else a)[n] for n in a}
    assert point(found["0"]) == pytest.approx(deviation(network, a, both, case), rel=1e-9)


@pytest.mark.parametrize("most", [1, 2, 4])
def test_beyond_the_most_layers_the_others_go_together(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribution, "MOST_LAYERS", most)
    case = BY_NAME["deep"]  # five layers
    network, a, b = pair(case)
    b = {name: a[name] + 0.01 * (tensor - a[name]) for name, tensor in b.items()}
    b["6.weight"] = a["6.weight"] * 1.5
    found = by_scheme(network, a, b, case)
    skipped = [name for name, q in found["swap_in"].items() if isinstance(q, Skipped)]
    assert len(skipped) == 5 - most and "6" not in skipped
    others = f"({5 - most} other layers)"
    assert list(found["swap_in"])[-1] == others
    together = {n: (b if n.split(".")[0] in skipped else a)[n] for n in a}
    assert point(found["swap_in"][others]) == pytest.approx(deviation(network, a, together, case))
    assert total(found) == pytest.approx(deviation(network, a, b, case), rel=1e-9)


def test_only_the_first_inputs_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribution, "MOST_INPUTS", 6)
    case = BY_NAME["two layers"]
    network, a, b = pair(case)
    inputs = case.inputs(0, 10, torch.float64)
    many = attribute(network, a, b, inputs, batch_size=4)
    assert many == attribute(network, a, b, inputs[:6], batch_size=4)
    assert {row.inputs for row in many} == {6}


@pytest.mark.parametrize(("runs", "expected"), [(14, 7), (4, 3), (10_000, 10)])
def test_many_layers_are_run_on_fewer_inputs(
    runs: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribution, "MOST_RUNS", runs)
    monkeypatch.setattr(attribution, "_FEWEST", 3)
    case = BY_NAME["two layers"]
    network, a, b = pair(case)
    rows = attribute(network, a, b, case.inputs(0, 10, torch.float64), batch_size=4)
    assert {row.inputs for row in rows} == {expected}


def test_outputs_that_overflow_are_skipped() -> None:
    case = BY_NAME["two layers"]
    network, a, b = pair(case)
    b["2.weight"] = torch.full_like(b["2.weight"], math.nan)
    found = by_scheme(network, a, b, case)
    assert isinstance(found["swap_in"]["0"], Estimate)
    assert isinstance(found["telescoping"]["2"], Skipped)
    assert isinstance(found["swap_out"]["0"], Skipped)
