"""Outputs per unit of input: closed forms, what is skipped and why, and a planted violation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from netdistance.bounds.input_sensitivity import input_output
from netdistance.errors import BoundViolationError, InputError
from netdistance.networks.affine import Norms
from netdistance.networks.batch import Arguments, Batch
from netdistance.networks.load import Network
from netdistance.networks.rules import ConstantFactor, register, unregister
from netdistance.networks.rules.base import Call, Edge
from netdistance.probes import jacobian
from netdistance.progress import SILENT, Advance
from netdistance.quantities import Exact, Interval, Skipped
from netdistance.report.document import BoundRow, InputOutput
from tests.cases.networks import Case, composed, mlp, sequential
from tests.cases.unsupported import UNSUPPORTED


def draw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def study(
    build: Callable[[], nn.Module], inputs: Batch, weights: dict[str, Tensor] | None = None
) -> tuple[InputOutput, BoundRow]:
    """The numbers of a network at given weights, or at drawn ones."""
    case = Case("any", build, ())
    network = case.network()
    state = case.state(network, 0, torch.float64) | (weights or {})
    return input_output(network, state, inputs, batch_size=4, progress=SILENT)


def numbers(part: InputOutput) -> tuple[float, float, float]:
    """What was found, the largest Jacobian and the certificate, in the order that is proved."""
    assert isinstance(part.found, Exact), part.found
    assert isinstance(part.jacobian, Interval), part.jacobian
    assert isinstance(part.certified, Interval), part.certified
    assert part.found.value <= part.certified.upper
    assert part.jacobian.lower <= part.certified.upper
    assert part.certified.lower == 0.0
    return part.found.value, part.jacobian.upper, part.certified.upper


def test_a_linear_map_has_one_number() -> None:
    weight = draw(5, 7)
    part, row = study(mlp(7, 5), draw(3, 7, seed=1), {"0.weight": weight})
    norm = float(torch.linalg.svdvals(weight)[0])
    assert numbers(part) == pytest.approx((norm, norm, norm), rel=1e-5)
    assert part.inputs == 3
    assert list(part.jacobian_quantiles) == ["0.0", "0.5", "0.9", "1.0"]
    assert (row.name, row.standing, row.over, row.inputs) == (
        "input_lipschitz", "certified", "known", None,
    )  # fmt: skip
    assert isinstance(row.value, Skipped) and "no deviation" in row.value.reason
    assert isinstance(row.log10, Interval)
    assert row.log10.upper == pytest.approx(math.log10(norm), abs=1e-5)
    assert row.log10.lower == pytest.approx(math.log10(norm), abs=1e-5)


def test_positive_relu_layers_of_one_direction_reach_the_certificate() -> None:
    first, second = torch.ones(4, 3).double(), torch.ones(2, 4).double()
    weights = {"0.weight": first, "2.weight": second, "0.bias": torch.zeros(4).double()}
    part, _ = study(mlp(3, 4, 2), draw(2, 3).abs(), weights)
    # |1|_2 of an m x n matrix of ones is sqrt(mn), and both stretch (1, ..., 1) most
    assert numbers(part) == pytest.approx((math.sqrt(12 * 8),) * 3, rel=1e-5)


def test_positive_relu_layers_are_the_product_matrix_near_positive_inputs() -> None:
    first, second = draw(6, 4).abs(), draw(3, 6, seed=1).abs()
    weights = {"0.weight": first, "2.weight": second, "0.bias": torch.zeros(6).double()}
    part, _ = study(mlp(4, 6, 3), draw(2, 4).abs(), weights)
    found, local, certified = numbers(part)
    exact = float(torch.linalg.svdvals(second @ first)[0])
    assert (found, local) == pytest.approx((exact, exact), rel=1e-5)
    product = float(torch.linalg.svdvals(first)[0] * torch.linalg.svdvals(second)[0])
    assert certified == pytest.approx(product, rel=1e-5)


def test_a_kink_between_the_inputs_is_found() -> None:
    part, _ = study(composed(lambda m, x: x.abs()), torch.tensor([[3.0], [-3.0]]).double())
    assert numbers(part) == pytest.approx((1.0, 1.0, 1.0), rel=1e-5)
    # beyond 1, which the search has to step over, twice the slope
    part, _ = study(composed(lambda m, x: x + (x - 1.0).relu()), torch.tensor([[0.8]]).double())
    found, local, certified = numbers(part)
    assert (local, certified) == pytest.approx((1.0, 2.0), rel=1e-5)
    assert found > 1.05


@pytest.mark.parametrize("outputs", [jacobian.MOST_PASSES, jacobian.MOST_PASSES + 76])
def test_rows_and_columns_give_the_same_norm(outputs: int) -> None:
    """Beyond 1,024 outputs the few columns are differentiated forward."""
    build = sequential(lambda: nn.Linear(3, 8), nn.Tanh, lambda: nn.Linear(8, outputs))
    inputs = draw(2, 3)
    part, _ = study(build, inputs)
    case = Case("any", build, ())
    state = case.state(case.network(), 0, torch.float64)
    slope = 1.0 - torch.tanh(inputs @ state["0.weight"].T + state["0.bias"]).square()
    matrices = [state["2.weight"] * one @ state["0.weight"] for one in slope]
    exact = [float(torch.linalg.svdvals(matrix)[0]) for matrix in matrices]
    assert numbers(part)[1] == pytest.approx(max(exact), rel=1e-5)
    assert part.jacobian_quantiles["0.0"] == pytest.approx(min(exact), rel=1e-5)


def test_a_jacobian_too_large_is_skipped_and_the_rest_stays() -> None:
    side = jacobian.MOST_PASSES + 1
    weight = torch.diag(torch.linspace(0.1, 4.0, side, dtype=torch.float64))
    part, _ = study(mlp(side, side), draw(1, side), {"0.weight": weight})
    assert isinstance(part.jacobian, Skipped) and "1,025 x 1,025" in part.jacobian.reason
    assert part.jacobian_quantiles == {}
    assert isinstance(part.found, Exact) and isinstance(part.certified, Interval)
    assert 2.0 < part.found.value <= 4.0 + 1e-9 <= part.certified.upper


CONSTANTS: dict[str, tuple[Callable[[], nn.Module], float]] = {
    "zero": (composed(lambda m, x: x * 0.0), 0.0),
    "unchanged": (sequential(nn.Flatten), 1.0),
    "sum of branches": (composed(lambda m, x: x + 2.0 * x - x / 4), 3.25),
    "joined": (composed(lambda m, x: torch.cat([3.0 * x, -4.0 * x], 1)), 5.0),
    "sigmoid": (sequential(nn.Sigmoid), 0.25),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_of_networks_without_weights(name: str) -> None:
    build, exact = CONSTANTS[name]
    part, row = study(build, draw(2, 3))
    assert numbers(part)[2] == pytest.approx(exact, rel=1e-8)
    assert isinstance(row.log10, Interval if exact else Skipped)


def test_the_logarithm_stands_where_the_constant_overflows() -> None:
    """x + 10 (10 (... P Q x)) is x, as P Q = 0; the graph does not know."""
    first, second = torch.diag(torch.tensor([10.0, 0.0])), torch.diag(torch.tensor([0.0, 10.0]))

    def run(m: nn.ModuleDict, x: Tensor) -> Tensor:
        h = x
        for _ in range(155):
            h = m["second"](m["first"](h))
        return x + h

    build = composed(
        run, first=lambda: nn.Linear(2, 2, bias=False), second=lambda: nn.Linear(2, 2, bias=False)
    )
    weights = {"layers.first.weight": first.double(), "layers.second.weight": second.double()}
    part, row = study(build, draw(1, 2), weights)
    assert isinstance(part.certified, Skipped) and "at most 10^310" in part.certified.reason
    assert isinstance(row.log10, Interval)
    assert row.log10.upper == pytest.approx(310.0, abs=1e-3)
    assert row.log10.lower == pytest.approx(0.0, abs=1e-6)


SKIPPED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "softmax": (sequential(lambda: nn.Softmax(1)), "0 (Softmax) has no rule"),
    "gate": (composed(lambda m, x: x * x.tanh()), "mul (mul) has no rule whose factor is the same"),
    "softplus": (sequential(nn.Softplus), "0 (Softplus) has no rule whose factor is the same"),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_an_operator_without_a_constant_factor_is_named(name: str) -> None:
    build, reason = SKIPPED[name]
    part, row = study(build, draw(2, 3))
    for value in (part.certified, row.value, row.log10):
        assert isinstance(value, Skipped) and reason in value.reason
    assert isinstance(part.jacobian, Interval) and isinstance(part.found, Exact)


@pytest.mark.parametrize("case", UNSUPPORTED, ids=lambda case: case.name)
def test_no_certificate_where_no_certificate_of_weights(case: Case) -> None:
    network = case.network()
    state, inputs = case.state(network, 0), case.inputs(0)
    try:
        part, _ = input_output(network, state, inputs, batch_size=4, progress=SILENT)
    except InputError as error:
        assert "other outputs for the same inputs" in str(error)
    else:
        assert isinstance(part.certified, Skipped) and case.operator in part.certified.reason


NO_INPUTS: dict[str, tuple[Batch, str]] = {
    "tokens": (torch.ones(2, 3, dtype=torch.int64), "whole numbers, such as tokens"),
    "several": (Arguments({"ids": torch.ones(2, 3), "mask": torch.ones(2, 3)}), "ids, mask"),
    "none": (torch.ones(0, 3), "--certify 1"),
}


@pytest.mark.parametrize("name", NO_INPUTS)
def test_inputs_without_a_unit_are_skipped(name: str) -> None:
    inputs, reason = NO_INPUTS[name]
    part, row = study(mlp(3, 2), inputs)
    assert part.inputs == len(inputs) and part.jacobian_quantiles == {}
    for value in (part.certified, part.jacobian, part.found, row.value, row.log10):
        assert isinstance(value, Skipped) and reason in value.reason


def test_a_detached_output_has_no_derivative() -> None:
    part, _ = study(composed(lambda m, x: (2.0 * x).detach()), draw(2, 3))
    assert isinstance(part.jacobian, Skipped) and "detaches" in part.jacobian.reason
    assert isinstance(part.certified, Skipped) and "detach" in part.certified.reason
    assert isinstance(part.found, Exact) and part.found.value == pytest.approx(2.0, rel=1e-9)


def test_outputs_that_are_not_finite() -> None:
    part, _ = study(composed(lambda m, x: torch.log(x)), torch.tensor([[1.0], [0.0]]).double())
    for value in (part.jacobian, part.found):
        assert value == Skipped("1 of 2 outputs are not finite")


class Doubles:
    """A rule of the user's own, which says nothing of other inputs."""

    name = "doubles"

    def matches(self, call: Call) -> bool:
        return call.is_function(functional.normalize)

    def apply(self, call: Call) -> Any:
        return Edge(call.evaluate(), 2.0 * call.edges[0].deviation)


class DoublesEverywhere(Doubles, ConstantFactor):
    """The same with the statement (which is not true: this only tests who is asked)."""


def test_a_registered_rule_takes_part_only_where_it_says_so() -> None:
    build = composed(lambda m, x: functional.normalize(x))
    inputs = torch.full((1, 4), 3.0).double()
    for rule, kind in ((Doubles(), Skipped), (DoublesEverywhere(), Interval)):
        register(rule)
        try:
            part, _ = study(build, inputs)
        finally:
            unregister(rule)
        assert isinstance(part.certified, kind), part.certified


def test_planted_half_of_a_norm_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    upper = Norms.upper
    monkeypatch.setattr(Norms, "upper", lambda self, layer: 0.5 * upper(self, layer))
    with pytest.raises(BoundViolationError, match=r"certified at most 0\.5.*, measured 0\.999"):
        study(mlp(2, 2), draw(1, 2), {"0.weight": torch.eye(2).double()})


def test_a_search_that_finds_too_much_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "netdistance.bounds.input_sensitivity.largest_ratio"
    monkeypatch.setattr(name, lambda *_: torch.tensor([7.0]))
    with pytest.raises(BoundViolationError, match=r"measured 7\.0"):
        study(mlp(2, 2), draw(1, 2), {"0.weight": torch.eye(2).double()})


def test_progress_reaches_its_end() -> None:
    class Counter:
        def __init__(self) -> None:
            self.left: dict[str, int] = {}
            self.name = ""

        def task(self, description: str, total: int) -> Counter:
            self.name, self.left[description] = description, total
            return self

        def __enter__(self) -> Advance:
            return self.advance

        def __exit__(self, *error: object) -> None:
            return None

        def advance(self, done: int) -> None:
            self.left[self.name] -= done

    counter, case = Counter(), Case("any", mlp(3, 4, 2), (3,))
    network = case.network()
    state = case.state(network, 0)
    input_output(network, state, case.inputs(0), batch_size=2, progress=counter)
    assert counter.left == {"certifying for every two inputs": 0, "measuring at the inputs": 0}


def test_nothing_of_the_callers_is_changed() -> None:
    case = Case("any", sequential(lambda: nn.ReLU(inplace=True), lambda: nn.Linear(3, 2)), (3,))
    network: Network = case.network()
    state, inputs = case.state(network, 0), case.inputs(0)
    before = {name: tensor.clone() for name, tensor in state.items()}, inputs.clone()
    input_output(network, state, inputs, batch_size=2, progress=SILENT)
    assert all(torch.equal(state[name], tensor) for name, tensor in before[0].items())
    assert torch.equal(inputs, before[1]) and not inputs.requires_grad
