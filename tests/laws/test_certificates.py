"""A certificate is never below what some change in its scope does, however that was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest
import torch
from torch import Tensor

from netdistance.bounds.attack import worst_found
from netdistance.bounds.certificates import Certifier
from netdistance.networks import graph
from netdistance.networks.affine import Norms
from netdistance.networks.load import Network, State
from netdistance.networks.rules import RULES, activation
from netdistance.networks.rules.base import Call, Edge, Rule
from netdistance.probes.deviation import Reference
from netdistance.probes.noise import moved, perturbed_names, relative, unit_noise
from netdistance.quantities import Interval, Skipped
from tests.cases.networks import SUPPORTED, Case, in_dtype
from tests.cases.unsupported import UNSUPPORTED
from tests.laws.adversary import changed, exact_deviation, search

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

LEVELS = (1e-3, 0.05, 1.5)
# float64 runs of a network round; this much of an output is no evidence against a certificate
ROUNDING = 1e-12
BY_NAME = {case.name: case for case in SUPPORTED}

over_cases = pytest.mark.parametrize("case", SUPPORTED, ids=lambda case: case.name)


def upper(value: object) -> float:
    assert isinstance(value, Interval), value
    assert value.lower == 0.0
    return value.upper


def beaten(found: Mapping[str, float], certified: float) -> str:
    """What exceeds a certificate, empty where nothing does; names the largest ratio reached."""
    where, most = max(found.items(), key=lambda item: item[1])
    ratio = (most - ROUNDING) / certified if certified else float(most > ROUNDING)
    return f"{where}: {ratio:.12f} of the certificate {certified:.6g}" if ratio > 1.0 else ""


def ball_law(case: Case, seed: int, level: float, *, count: int, steps: int) -> str:
    """How the ball certificate is beaten by draws, the attack or a search, in either scope."""
    network = case.network()
    state, inputs = case.state(network, seed), case.inputs(seed)
    certifier = Certifier.of(network, state, inputs)
    double = in_dtype(state, torch.float64)
    reference = Reference.of(network(double, inputs.double()).flatten(1))
    for scope in ("weights", "all"):
        names = perturbed_names(network, state, scope)
        found = {"attack": float(worst_found(
            network, double, reference, inputs.double(), names, relative(level), seed=seed
        ).max())}  # fmt: skip
        for draw in range(4):
            other = moved(network, double, unit_noise(double, names, seed=seed + draw), level)
            drawn = exact_deviation(network, double, other, inputs)
            found[f"draw {draw}"] = float(drawn.max())
        found["search"] = search(network, state, inputs, names, level, count=count, steps=steps)
        if problem := beaten(found, upper(certifier.ball(level, names).best)):
            return f"{case.name}, seed {seed}, level {level}, {scope}: {problem}"
    return ""


def known_changes(network: Network, state: State, seed: int) -> Iterator[tuple[str, State]]:
    """Changes of one network: random, small, large, low-rank, of one tensor, and flipped signs."""
    generator = torch.Generator().manual_seed(77 + seed)

    def draw(shape: torch.Size) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    double = {name: state[name].double() for name in network.parameters}
    noise = {n: (d := draw(w.shape)) * (w.norm() / d.norm()) for n, w in double.items()}
    for size in (1e-9, 1e-4, 0.05, 1.0, 30.0):
        yield f"random {size:g}", {n: size * d for n, d in noise.items()}
    yield (
        "low rank",
        {
            n: draw(w.flatten(1).shape[:1]).outer(draw(w.flatten(1).shape[1:])).view(w.shape)
            for n, w in double.items()
            if w.ndim > 1
        },
    )
    yield "signs", {n: -2.0 * w for n, w in double.items()}
    yield "some signs", {n: -2.0 * w * (draw(w.shape) > 1.0) for n, w in double.items()}
    yield "halved", {n: -0.5 * w for n, w in double.items()}
    for name in double:
        yield f"only {name}", {name: noise[name]}
        yield f"only {name}, grown", {name: 0.25 * double[name]}


Changes = Callable[[Network, State, int], Iterator[tuple[str, State]]]


def known_law(case: Case, seed: int, changes: Changes = known_changes) -> str:
    """How the known-change certificate is beaten by one of the changes, along its path."""
    network = case.network()
    state, inputs = case.state(network, seed), case.inputs(seed)
    certifier, double = Certifier.of(network, state, inputs), in_dtype(state, torch.float64)
    for what, change in changes(network, state, seed):
        norms = Norms(changed(network, state, change))
        for t in (0.01, 0.3, 1.0):
            other = changed(network, state, {name: t * d for name, d in change.items()})
            found = {what: float(exact_deviation(network, double, other, inputs).max())}
            if problem := beaten(found, upper(certifier.known(norms, t).best)):
                return f"{case.name}, seed {seed}, t = {t}: {problem}"
    return ""


@over_cases
def test_ball_withstands(case: Case) -> None:
    problems = [ball_law(case, 0, level, count=3, steps=12) for level in LEVELS]
    assert not any(problems), problems


@pytest.mark.slow
@over_cases
def test_ball_withstands_a_long_search(case: Case) -> None:
    problems = [ball_law(case, 1, level, count=6, steps=100) for level in (1e-6, 0.05, 0.4)]
    assert not any(problems), problems


@over_cases
def test_known_change_withstands(case: Case) -> None:
    problem = known_law(case, 0)
    assert not problem, problem


@pytest.mark.slow
@over_cases
def test_known_change_withstands_other_seeds(case: Case) -> None:
    problems = [known_law(case, seed) for seed in range(1, 6)]
    assert not any(problems), problems


@over_cases
def test_known_change_is_no_looser_than_the_ball(case: Case) -> None:
    network = case.network()
    state, inputs = case.state(network, 5), case.inputs(5)
    certifier, names = Certifier.of(network, state, inputs), network.parameters
    noise = unit_noise(in_dtype(state, torch.float64), names, seed=5)
    for level in LEVELS:
        norms = Norms(changed(network, state, {n: level * d for n, d in noise.items()}))
        known, ball = certifier.known(norms).rungs, certifier.ball(level, names).rungs
        # both use proved upper ends, which are not the norms themselves
        for one, every in zip(known[1:], ball[1:], strict=True):
            assert upper(one.value) <= upper(every.value) * 1.01, f"{case.name}: {one}, {every}"


@over_cases
def test_each_certificate_is_no_looser_than_the_one_before(case: Case) -> None:
    network = case.network()
    state, inputs = case.state(network, 6), case.inputs(6)
    certifier, names = Certifier.of(network, state, inputs), network.parameters
    noise = unit_noise(in_dtype(state, torch.float64), names, seed=6)
    for level in LEVELS:
        norms = Norms(changed(network, state, {n: level * d for n, d in noise.items()}))
        for certified in (certifier.ball(level, names), certifier.known(norms)):
            by_norms, by_input, by_neuron = (upper(rung.value) for rung in certified.rungs)
            assert by_neuron <= by_input <= by_norms, f"{case.name}: {certified.rungs}"
            assert certified.best == certified.rungs[-1].value


@over_cases
def test_identical_networks_are_certified_identical(case: Case) -> None:
    network = case.network()
    state = case.state(network, 0)
    assert upper(Certifier.of(network, state, case.inputs(0)).known(Norms(state)).best) == 0.0


@pytest.mark.parametrize("case", UNSUPPORTED, ids=lambda case: case.name)
def test_unsupported_operators_are_named_and_give_no_number(case: Case) -> None:
    network = case.network()
    state, inputs = case.state(network, 0), case.inputs(0)
    network(state, inputs)
    certifier = Certifier.of(network, state, inputs)
    for every in (certifier.ball(0.01, network.parameters), certifier.known(Norms(state))):
        for value in (*(rung.value for rung in every.rungs), every.best, every.top1_unchanged):
            assert isinstance(value, Skipped)
            assert case.operator in value.reason


class Halved:
    """A rule that gives half of its bound."""

    def __init__(self, rule: Rule) -> None:
        self.rule, self.name = rule, rule.name

    def matches(self, call: Call) -> bool:
        return self.rule.matches(call)

    def apply(self, call: Call) -> object:
        edge = self.rule.apply(call)
        return Edge(edge.value, edge.deviation / 2.0) if isinstance(edge, Edge) else edge


TIGHT = {
    "linear": "single without bias",
    "convolution": "conv 3-D",
    "activation": "ends in relu",
    "reshape": "flattened",
    "add": "doubled",
}


@pytest.mark.parametrize("name", TIGHT)
def test_planted_half_of_a_rule_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = BY_NAME[TIGHT[name]]
    assert not known_law(case, 0)
    rules = tuple(Halved(rule) if rule.name == name else rule for rule in RULES)
    monkeypatch.setattr(graph, "RULES", rules)
    assert known_law(case, 0)


def test_planted_small_ball_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    case = BY_NAME["two layers"]
    assert not ball_law(case, 0, 0.05, count=3, steps=12)
    ball = Certifier.ball
    monkeypatch.setattr(Certifier, "ball", lambda self, level, names: ball(self, level / 3, names))
    assert ball_law(case, 0, 0.05, count=3, steps=12)


def test_planted_neuron_that_can_switch_on_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    case = BY_NAME["ends in relu"]
    assert not known_law(case, 0)
    monkeypatch.setattr(activation, "_above_zero", lambda edge, e: e * (edge.value > 0.0))
    assert known_law(case, 0)
