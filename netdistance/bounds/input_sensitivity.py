"""How far outputs move per unit of input: between any two inputs, near given ones, and as found.

The certificate walks the graph at unchanged weights with a deviation of 1 at the input. Every rule
that takes part has d_out <= c d_in for one c whatever the inputs are, so that the bound is the same
multiple of |x - y| for every two inputs x, y; see docs/concepts/certificates.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from netdistance.bounds.certificates import INFLATION, Certifier, require_above
from netdistance.bounds.ratio_search import largest_ratio
from netdistance.bounds.spectral_product import MEASURED_ELSEWHERE
from netdistance.errors import InputError
from netdistance.linalg.interval_arithmetic import together
from netdistance.networks.batch import Batch
from netdistance.networks.change import MovedInput
from netdistance.networks.graph import Graph, bound_output, input_edge
from netdistance.networks.load import Network, State
from netdistance.networks.rules.base import NoRuleError
from netdistance.probes.deviation import quantiles, require_repeatable, run
from netdistance.probes.jacobian import LocalStretch, local_stretch
from netdistance.progress import Progress
from netdistance.quantities import Exact, Interval, Quantity, Skipped
from netdistance.report.document import BoundRow, InputOutput

NAME = "input_lipschitz"
ASSUMPTIONS = (
    "every two inputs of the shape given; l2 norms of inputs and of outputs",
    "the traced graph is the network: it gives its outputs on these inputs, on their negatives and "
    "on Gaussian ones",
    f"real arithmetic, evaluated in float64 with its rounding covered by a margin of {INFLATION:g}",
)
# a second walk from here tells the logarithm of a constant that overflows from 1
_SMALL = 1e-200


@dataclass(frozen=True, slots=True)
class _Lipschitz:
    """A constant L with |f(x) - f(y)| <= L |x - y|, and an upper bound of log10 L if there is one.

    The logarithm also stands where L itself exceeds float64.
    """

    constant: Quantity
    log10: float | None = None
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class _Measured:
    """What was measured at the inputs, in float64."""

    jacobian: Quantity
    quantiles: dict[str, float]
    found: Quantity


def input_output(
    network: Network, state: State, inputs: Batch, *, batch_size: int, progress: Progress
) -> tuple[InputOutput, BoundRow]:
    """The three numbers over `inputs`, (N, ...), and the row of the certificate.

    Raises:
        InputError: the network cannot run on the inputs, or is random.
        BoundViolationError: the certificate lies below what was measured.
    """
    reason = _inapplicable(inputs)
    if reason is not None or not isinstance(inputs, Tensor):
        none = Skipped(str(reason))
        return InputOutput(len(inputs), none, none, {}, none), _row(_Lipschitz(none), none)
    outputs = run(network, state, inputs, batch_size=batch_size)
    require_repeatable(network, state, inputs, outputs)
    certifier = Certifier.of(network, state, inputs)
    certificate = _certified(certifier, progress)
    double = {n: t.to(network.device) for n, t in certifier.norms.state.items()}
    measured = _measured(network, double, inputs.double(), batch_size, progress)
    found = _require_below(certificate.constant, measured)
    part = InputOutput(
        len(inputs), certificate.constant, measured.jacobian, measured.quantiles, found
    )
    return part, _row(certificate, found)


def _inapplicable(inputs: Batch) -> str | None:
    """Why there is nothing to divide by."""
    if len(inputs) == 0:
        return "no inputs to measure at; give --certify 1 or more"
    if not isinstance(inputs, Tensor):
        return f"the network takes several inputs: {', '.join(inputs.tensors)}"
    if not inputs.is_floating_point():
        return "the inputs are whole numbers, such as tokens: there is no small change of one"
    return None


def _certified(certifier: Certifier, progress: Progress) -> _Lipschitz:
    if certifier.graph is None or not isinstance(certifier.inputs, Tensor):
        return _Lipschitz(Skipped(str(certifier.skipped)))
    norms = certifier.folded(certifier.norms)
    sizes = {name: t.numel() for name, t in norms.state.items() if t.ndim > 1}
    with progress.task("certifying for every two inputs", sum(sizes.values())) as advance:
        change = MovedInput(norms.state, norms, lambda name: advance(sizes.pop(name, 0)))
        try:
            return lipschitz(certifier.graph, certifier.inputs[:1], change)
        except NoRuleError as error:
            return _Lipschitz(Skipped(str(error)))


def lipschitz(graph: Graph, x: Tensor, change: MovedInput) -> _Lipschitz:
    """The constant of a graph, from its walk at one input x, (1, ...) float64, for its shapes.

    Raises:
        NoRuleError: an operator has no rule, or none whose factor is the same for every input.
    """
    walks = []
    for start in (1.0, _SMALL):
        moved = input_edge(x, deviation=torch.tensor([start], dtype=torch.float64))
        walks.append(bound_output(graph, moved, change, for_every_input=True).deviation)
    plain, small = (float(end) * (1.0 + INFLATION) for end in walks)
    sure = change.confidence
    if plain < math.inf:
        log10 = math.log10(plain) + INFLATION if plain else None
        return _Lipschitz(Interval(0.0, plain, sure), log10, sure)
    if not 0.0 < small < math.inf:
        return _Lipschitz(Skipped("exceeds float64, or a weight is not finite"))
    log10 = math.log10(small) - math.log10(_SMALL) + INFLATION
    return _Lipschitz(Skipped(f"exceeds float64: at most 10^{log10:.6g}"), log10, sure)


def _measured(
    network: Network, state: State, inputs: Tensor, batch_size: int, progress: Progress
) -> _Measured:
    """What the network of a float64 state does at inputs and between them and others, (N, ...)."""
    inputs = inputs.to(network.device)
    try:
        outputs = run(network, state, inputs, batch_size=batch_size)
    except InputError as error:
        none = Skipped(f"the network does not run in float64: {error}")
        return _Measured(none, {}, none)
    if wrong := int((~torch.isfinite(outputs).all(1)).sum()):
        none = Skipped(f"{wrong} of {len(outputs)} outputs are not finite")
        return _Measured(none, {}, none)
    with progress.task("measuring at the inputs", 2 * len(inputs)) as advance:
        stretches: list[LocalStretch | Skipped] = []
        for at in range(len(inputs)):
            x = inputs[at : at + 1]
            one = local_stretch(network, state, x, outputs.shape[1], batch_size=batch_size)
            stretches.append(one)
            advance(1)
        parts = []
        directions = _directions(stretches, inputs)
        for at in range(0, len(inputs), batch_size):
            part = slice(at, at + batch_size)
            found = largest_ratio(network, state, inputs[part], outputs[part], directions[part])
            parts.append(found)
            advance(len(found))
    ratios = torch.cat(parts)
    return _Measured(*_over_inputs(stretches), Exact(float(ratios.max())))


def _directions(stretches: list[LocalStretch | Skipped], inputs: Tensor) -> Tensor:
    """Where the search begins at each input: the direction stretched most, or a drawn one."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(inputs.shape, generator=generator, dtype=torch.float64)
    unit = drawn / drawn.flatten(1).norm(dim=1).view(-1, *[1] * (inputs.ndim - 1))
    known = (one.direction if isinstance(one, LocalStretch) else None for one in stretches)
    chosen = [u if v is None else v for u, v in zip(unit, known, strict=True)]
    return torch.stack(chosen).to(inputs.device)


def _over_inputs(
    stretches: list[LocalStretch | Skipped],
) -> tuple[Quantity, dict[str, float]]:
    """The largest norm of a Jacobian, and the smallest, middle and largest of the upper ends."""
    norms = []
    for stretch in stretches:
        if isinstance(stretch, Skipped):
            return stretch, {}
        norms.append(stretch.norm)
    lower, upper = max(norm.lower for norm in norms), max(norm.upper for norm in norms)
    uppers = torch.tensor([norm.upper for norm in norms], dtype=torch.float64)
    largest = Interval(lower, upper, together(norms))
    return largest, {"0.0": float(uppers.min()), **quantiles(uppers)}


def _require_below(constant: Quantity, measured: _Measured) -> Quantity:
    """The ratio found, once neither it nor a Jacobian exceeds the certificate.

    Raises:
        BoundViolationError: one of them does.
    """
    if isinstance(measured.jacobian, Interval):
        slope = Exact(measured.jacobian.lower)
        require_above(f"{NAME} against a Jacobian", constant, slope, lambda: slope)
    return require_above(NAME, constant, measured.found, lambda: measured.found)


def _row(certificate: _Lipschitz, found: Quantity) -> BoundRow:
    return BoundRow(
        name=NAME,
        standing="certified",
        over="known",
        inputs=None,
        value=_no_deviation(certificate),
        measured=Skipped(MEASURED_ELSEWHERE),
        assumptions=ASSUMPTIONS,
        log10=_log10(certificate, found),
    )


def _no_deviation(certificate: _Lipschitz) -> Skipped:
    if certificate.log10 is None and isinstance(certificate.constant, Skipped):
        return certificate.constant
    return Skipped("a ratio of distances and no deviation: see log10")


def _log10(certificate: _Lipschitz, found: Quantity) -> Quantity:
    """From the logarithm of a ratio that two inputs have to that of the certificate."""
    if certificate.log10 is None:
        none = certificate.constant
        return none if isinstance(none, Skipped) else Skipped("the constant is 0: no logarithm")
    if not isinstance(found, Exact) or found.value <= 0.0:
        return Skipped("no two inputs with different outputs were found: no lower end")
    lower = min(math.log10(found.value), certificate.log10)
    return Interval(lower, certificate.log10, certificate.confidence)
