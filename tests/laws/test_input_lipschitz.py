"""No two inputs move outputs by more per unit than is certified, however they were found."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from netdistance.bounds import input_sensitivity
from netdistance.bounds.input_sensitivity import input_output
from netdistance.errors import BoundViolationError
from netdistance.linalg.weight_norm import weight_norm
from netdistance.networks import graph
from netdistance.networks.affine import Norms
from netdistance.networks.change import MovedInput
from netdistance.networks.graph import bound_output, trace
from netdistance.networks.rules import RULES, ConstantFactor, Rule
from netdistance.networks.rules.base import Call, Edge, NoRuleError
from netdistance.probes.jacobian import LocalStretch, local_stretch
from netdistance.progress import SILENT
from netdistance.quantities import Interval, Skipped
from tests.cases.networks import SUPPORTED, Case
from tests.cases.wider import WIDER
from tests.laws.test_rules import LAWS, Law

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel"),
    pytest.mark.filterwarnings("ignore:There is a performance drop"),
]

CASES = (*SUPPORTED, *WIDER)
BY_NAME = {case.name: case for case in CASES}
# what multiplies two values, or jumps: no factor of theirs is the same for every input
WITHOUT = {"squeeze and excite", "square", "gate", "soft"}

over_cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def pairs(case: Case, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs x, y, (N, ...) each: near, far, along an axis, through zero, and of wild sizes."""
    generator = torch.Generator().manual_seed(400 + seed)

    def draw(count: int) -> Tensor:
        return torch.randn((count, *case.shape), generator=generator, dtype=torch.float64)

    for size in (1e-3, 1.0, 1e3):
        x = size * draw(16)
        yield x, -x
        yield x, torch.zeros_like(x)
        yield x, x.roll(1, 0)
        for step in (1e-4, 0.1, 10.0):
            yield x, x + step * size * draw(16)
            yield x, x + step * size * draw(16).sign() * (draw(16) > 1.0)


def worst_pair(case: Case, seed: int) -> float:
    """The largest ratio over all those pairs."""
    network = case.network()
    state = case.state(network, seed, torch.float64)
    worst = 0.0
    for x, y in pairs(case, seed):
        apart = (x - y).flatten(1).norm(dim=1)
        before = network(state, x).flatten(1)
        moved = (before - network(state, y).flatten(1)).norm(dim=1)
        # nearer pairs, and nearer outputs, tell float64's rounding instead
        told = (apart > 1e-6 * x.flatten(1).norm(dim=1)) & (moved > 1e-6 * before.norm(dim=1))
        worst = max([worst, *(moved / apart)[told].tolist()])
    return worst


def law(case: Case, seed: int) -> str:
    """How the certificate is beaten by the package's own search, a Jacobian or the pairs."""
    network = case.network()
    exact, inputs = case.state(network, seed, torch.float64), case.inputs(seed)
    try:
        part, _ = input_output(network, exact, inputs, batch_size=8, progress=SILENT)
    except BoundViolationError as error:
        return f"{case.name}: {error}"
    if case.name in WITHOUT:
        return "" if isinstance(part.certified, Skipped) else f"{case.name} was certified"
    if not isinstance(part.certified, Interval):
        return f"{case.name}: {part.certified}"
    found = worst_pair(case, seed)
    for x, _ in pairs(case, seed):
        local = local_stretch(network, exact, x[:1], outputs(network(exact, x)), batch_size=8)
        if isinstance(local, LocalStretch):
            found = max(found, local.norm.lower)
    ratio = found / part.certified.upper if part.certified.upper else found
    return "" if ratio <= 1.0 + 1e-9 else f"{case.name}: {ratio} of {part.certified.upper}"


def outputs(returned: Tensor) -> int:
    return returned[0].numel()


@over_cases
def test_every_two_inputs_obey(case: Case) -> None:
    problem = law(case, 0)
    assert not problem, problem


@pytest.mark.slow
@over_cases
def test_every_two_inputs_obey_at_other_weights(case: Case) -> None:
    problems = [law(case, seed) for seed in range(1, 5)]
    assert not any(problems), problems


def factors(one: Law) -> set[float]:
    """d_out / d_in of an operator at unchanged weights, at inputs and deviations of all sizes."""
    network = one.case.network()
    norms = Norms(one.case.state(network, 0, torch.float64))
    traced, found = trace(network), set()
    for seed, size in enumerate((1e-6, 1.0, 1e6)):
        for scale in (1e-6, 1.0, 1e6):
            x = scale * one.case.inputs(seed, 1, torch.float64)
            change = MovedInput(norms.state, norms, lambda name: None)
            start = torch.tensor([size], dtype=torch.float64)
            edge = bound_output(traced, Edge(x, start), change, for_every_input=True)
            found.add(float(edge.deviation) / size)
    return found


@pytest.mark.parametrize("one", LAWS, ids=str)
def test_a_factor_said_to_be_constant_is(one: Law) -> None:
    try:
        found = factors(one)
    except NoRuleError as error:
        assert one.case.name in ("softplus at its threshold", "gate", "channel gate")
        assert "the same for every input" in str(error)
    else:
        assert max(found) == pytest.approx(min(found), rel=1e-12)
        assert one.case.name not in ("softplus at its threshold", "gate", "channel gate")


def test_planted_statement_of_a_product_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = next(one for one in LAWS if one.case.name == "gate")
    product = next(rule for rule in RULES if rule.name == "product")
    monkeypatch.setattr(type(product), "has_constant_factor", lambda self, call: True)
    assert max(factors(gate)) > 2.0 * min(factors(gate))
    assert law(BY_NAME["square"], 0)


class Part(ConstantFactor):
    """A rule that gives a part of its bound."""

    def __init__(self, rule: Rule, part: float) -> None:
        self.rule, self.name, self.part = rule, rule.name, part

    def matches(self, call: Call) -> bool:
        return self.rule.matches(call)

    def apply(self, call: Call) -> object:
        edge = self.rule.apply(call)
        return Edge(edge.value, edge.deviation * self.part) if isinstance(edge, Edge) else edge


TIGHT = {
    "linear": ("single", 0.99), "convolution": ("conv 3-D", 0.85), "add": ("doubled", 0.9),
    "reshape": ("flattened", 0.99), "activation": ("two layers", 0.4),
}  # fmt: skip


@pytest.mark.parametrize("name", TIGHT)
def test_planted_part_of_a_rule_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case, part = BY_NAME[TIGHT[name][0]], TIGHT[name][1]
    assert not law(case, 0)
    rules = tuple(Part(rule, part) if rule.name == name else rule for rule in RULES)
    monkeypatch.setattr(graph, "RULES", rules)
    assert law(case, 0)


CHAINS = [
    c for c in CASES
    if c.name in ("deep", "deep without bias", "deep linear", "two layers", "rows", "conv",
                  "conv stride", "conv long stride", "conv 1-D", "conv dilation")
]  # fmt: skip


@pytest.mark.parametrize("case", CHAINS, ids=lambda case: case.name)
def test_a_chain_is_at_most_the_product_of_its_norms(case: Case) -> None:
    """Equal for matrices; a convolution at its stride and size is at most that of every size."""
    network = case.network()
    state = case.state(network, 0, torch.float64)
    part, _ = input_output(network, state, case.inputs(0), batch_size=8, progress=SILENT)
    assert isinstance(part.certified, Interval)
    product, kernels = 1.0, 0
    for tensor in state.values():
        product *= weight_norm(tensor.numpy()).upper if tensor.ndim > 1 else 1.0
        kernels += tensor.ndim > 2
    assert part.certified.upper <= product * (1.0 + 2.0 * input_sensitivity.INFLATION)
    if not kernels:
        assert part.certified.upper == pytest.approx(product, rel=1e-8)
