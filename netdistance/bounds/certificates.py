"""Certificates: proved bounds on the relative output deviation of given inputs.

The recursion over the graph, per input, is d_out = L d_in + P for each operator (the rules in
networks/rules), for every change in a ball or one known change. There are three, each at most as
large as the one before: from norms alone, for every input of at most the length of these; from the
activations of each input; and from a bound on each neuron besides, where one that stays off takes
no part. Sources: the telescoping W~h~ + b~ - (Wh + b) = W~(h~ - h) + (dW h + db), and
docs/concepts/certificates.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from netdistance.errors import BoundViolationError
from netdistance.networks.affine import Norms
from netdistance.networks.batch import Batch, in_float64
from netdistance.networks.change import Ball, Change, KnownChange
from netdistance.networks.faithful import require_faithful, same_function
from netdistance.networks.fold import FOLDED_ROUNDING, folded
from netdistance.networks.graph import Graph, bound_output, input_edge, trace
from netdistance.networks.load import Network, State
from netdistance.networks.rules.base import Edge, NoRuleError
from netdistance.quantities import Exact, Interval, Quantity, Skipped
from netdistance.report.document import BoundRow, Over

# covers the rounding of float64 activations, of about 1e-13 here; the margin itself is not proved
INFLATION = 1e-9
# of the output: what float64 inference itself may be off by when it checks a certificate
_ROUNDING = 1e-12
_THESE_INPUTS = "scope: these inputs alone, each relative to its own original output"
_ASSUMPTIONS = (
    "norm: l2 of the output",
    f"real arithmetic, evaluated in float64 with its rounding covered by a margin of {INFLATION:g}",
)
_BY_NORMS, _BY_NEURON = "norms_certificate", "neuron_certificate"


@dataclass(frozen=True, slots=True)
class Rung:
    """One certificate: the name of its row, and which inputs it is about."""

    name: str
    value: Quantity
    scope: str


@dataclass(frozen=True, slots=True)
class Certified:
    """Every certificate of one change, the loosest first; and whose top-1 class it keeps."""

    over: Over
    rungs: tuple[Rung, ...]
    top1_unchanged: Quantity

    @property
    def best(self) -> Quantity:
        """The smallest of them; skipped where each one is."""
        proved = [rung.value for rung in self.rungs if isinstance(rung.value, Interval)]
        return min(proved, key=lambda value: value.upper, default=self.rungs[-1].value)

    def rows(
        self,
        inputs: int,
        measured: Quantity,
        again: Callable[[], Quantity],
        assumptions: Sequence[str] = (),
    ) -> tuple[BoundRow, ...]:
        """Their rows on `inputs` inputs, beside the largest measurement on the same.

        `again` repeats the measurement in float64.

        Raises:
            BoundViolationError: a certificate lies below the measurement.
        """
        rows = []
        for rung in self.rungs:
            measured = require_above(rung.name, rung.value, measured, again)
            said = (*assumptions, _ASSUMPTIONS[0], rung.scope, _ASSUMPTIONS[1])
            rows.append(
                BoundRow(rung.name, "certified", self.over, inputs, rung.value, measured, said)
            )
        rows[-1] = replace(rows[-1], top1_unchanged=self.top1_unchanged)
        return tuple(rows)


@dataclass(frozen=True, slots=True)
class Certifier:
    """Certificates of one network at one state, on the first few inputs.

    `skipped` holds the reason why there are none. Norms are proved once and used at every level.
    """

    inputs: Batch  # (N, ...) float64
    norms: Norms
    ties: dict[str, str]
    graph: Graph | None
    skipped: str | None

    @classmethod
    def of(cls, network: Network, state: State, inputs: Batch) -> Certifier:
        """Trace the network at its weights `state`; the certificates cover `inputs`, (N, ...)."""
        norms, values = Norms(state), in_float64(inputs.to(torch.device("cpu")))
        try:
            if len(inputs) == 0:
                raise NoRuleError("no inputs to certify; give --certify 1 or more")
            if not isinstance(values, Tensor):
                raise NoRuleError(f"the network takes several inputs: {', '.join(values.tensors)}")
            graph = trace(network)
            require_faithful(graph, network, norms.state, values)
        except NoRuleError as error:
            return cls(values, norms, network.ties, None, str(error))
        return cls(values, norms, network.ties, graph, None)

    def ball(self, level: float, names: Sequence[str]) -> Certified:
        """For every change with |dW_l|_F <= level |W_l|_F of the named tensors."""
        return self.certify(Ball(self.norms, level, frozenset(names), self.ties))

    def known(self, changed: Norms, t: float = 1.0) -> Certified:
        """For the change from this state to (1 - t) this + t changed.

        For the whole change, t = 1, also with batch norms folded on both sides: one that takes back
        what the layer before it gained is then no change.
        """
        change = KnownChange(self.norms, changed, t)
        for name, tensor in self.norms.state.items():
            counter = name.endswith("num_batches_tracked")  # read in training alone
            exact = not tensor.is_floating_point() and not counter
            if exact and not torch.equal(tensor, changed.state[name]):
                # a forward may branch on it, which a trace does not show
                return self._none(change, f"{name} holds integers or truth values that differ")
        if t < 1.0:
            return self.certify(change)
        before, after = self.folded(self.norms), self.folded(changed)
        same = before is self.norms or after is changed
        if same:
            return self.certify(change)
        return self.certify(change, KnownChange(before, after, rounding=FOLDED_ROUNDING))

    def folded(self, norms: Norms) -> Norms:
        """Those of the same function with batch norms folded; the same where there are none."""
        if self.graph is None or not isinstance(self.inputs, Tensor):
            return norms
        state = folded(self.graph, self.ties, norms.state)
        if all(state[name] is norms.state[name] for name in state):
            return norms
        try:
            same = same_function(self.graph, norms.state, state, self.inputs)
        except NoRuleError:
            same = False
        return Norms(state) if same else norms

    def certify(self, change: Change, *others: Change) -> Certified:
        """For any change that the rules can be asked about.

        `others` are the same change of the function in other weights: of each input the smallest
        bound counts.
        """
        if self.graph is None or not isinstance(self.inputs, Tensor):
            return self._none(change, str(self.skipped))
        start = input_edge(self.inputs)
        reach = float(start.norms.max()) * (1.0 + INFLATION)
        try:
            walks = [self._walks(start, self.inputs, one) for one in (change, *others)]
        except NoRuleError as error:
            return self._none(change, str(error))
        by_input = torch.stack([walk[0].deviation for walk in walks]).amin(0)
        by_neuron = torch.stack([walk[1].deviation for walk in walks]).amin(0)
        original, norms = walks[0][1], walks[0][1].norms
        sure = 1.0 - math.fsum(1.0 - one.confidence for one in (change, *others))
        return Certified(
            change.over,
            (
                Rung(_BY_NORMS, self._by_norms(change, reach, norms), _within(reach)),
                Rung(change.certificate, _relative(by_input, norms, sure), _THESE_INPUTS),
                Rung(_BY_NEURON, _relative(by_neuron, norms, sure), _THESE_INPUTS),
            ),
            _top1_unchanged(replace(original, deviation=by_neuron), sure),
        )

    def _walks(self, start: Edge, inputs: Tensor, change: Change) -> tuple[Edge, Edge]:
        """The outputs with bounds on their change: from activations, and by neuron as well."""
        assert self.graph is not None
        by_input = bound_output(self.graph, start, change)
        by_neuron = bound_output(self.graph, input_edge(inputs, by_element=True), change)
        # a block's own norm has an upper end of its own, by rounding above that of the whole
        smallest = torch.minimum(by_neuron.deviation, by_input.deviation)
        return by_input, replace(by_neuron, deviation=smallest)

    def _by_norms(self, change: Change, reach: float, norms: Tensor) -> Quantity:
        """Of every input no longer than `reach`, relative to the smallest of the outputs here."""
        assert self.graph is not None and isinstance(self.inputs, Tensor)
        centre = torch.zeros_like(self.inputs[:1])
        try:
            moved = bound_output(self.graph, input_edge(centre, reach=reach), change)
        except NoRuleError as error:
            return Skipped(str(error))
        return _relative(moved.deviation.expand_as(norms), norms, change.confidence)

    def _none(self, change: Change, reason: str) -> Certified:
        names = (_BY_NORMS, change.certificate, _BY_NEURON)
        rungs = (Rung(name, Skipped(reason), _THESE_INPUTS) for name in names)
        return Certified(change.over, tuple(rungs), Skipped(reason))


def _within(reach: float) -> str:
    return (
        f"scope: every input of l2 norm at most {reach:.6g}, relative to the least original output "
        "of these"
    )


def _relative(deviation: Tensor, norms: Tensor, confidence: float) -> Quantity:
    """The largest relative bound over the inputs, (N,) each, as an interval from 0."""
    if zeros := int((norms == 0).sum()):
        return Skipped(f"{zeros} of {len(norms)} outputs are zero: relative to nothing")
    upper = float((deviation / norms).max()) * (1.0 + INFLATION)
    if not upper < float("inf"):
        return Skipped("exceeds float64, or a weight is not finite")
    return Interval(0.0, upper, confidence)


def _top1_unchanged(edge: Edge, confidence: float) -> Quantity:
    """The fraction of the inputs whose top-1 class no change can replace, proved from below.

    The class of input x stays where for each other class the sum of e_i and e_j, by which one
    output falls and the other rises, is below the margin between them: e_i + e_j is at most
    sqrt(2) |e|_2, and at most the bounds on the two by themselves. The others may stay as well.
    """
    if edge.value.ndim != 2 or edge.value.shape[1] < 2:
        return Skipped("the output is not one score for each of several classes")
    first, top = edge.value.max(1, keepdim=True)
    # the margin is a difference of numbers that are rounded as the deviation is
    margin = (first - edge.value) - INFLATION * (first.abs() + edge.value.abs())
    moved = math.sqrt(2.0) * edge.deviation.unsqueeze(1).expand_as(margin)
    if edge.elements is not None:
        moved = torch.minimum(moved, edge.elements.gather(1, top) + edge.elements)
    others = torch.ones_like(margin, dtype=torch.bool).scatter(1, top, False)
    certified = ((1.0 + INFLATION) * moved < margin).logical_or(~others).all(1)
    return Interval(float(certified.double().mean()), 1.0, confidence)


def require_above(
    name: str, certificate: Quantity, measured: Quantity, again: Callable[[], Quantity]
) -> Quantity:
    """The measurement to show beside a certificate, which is never above it.

    `again` repeats the measurement in float64, which alone decides, up to the rounding of float64
    itself: inference adds rounding to a measurement, and a certificate is about real arithmetic.

    Raises:
        BoundViolationError: it still is below; the message gives both numbers.
    """
    if not isinstance(certificate, Interval) or not isinstance(measured, Exact):
        return measured
    if measured.value <= certificate.upper:
        return measured
    repeated = again()
    if not isinstance(repeated, Exact) or repeated.value > certificate.upper + _ROUNDING:
        found = repeated.value if isinstance(repeated, Exact) else measured.value
        raise BoundViolationError(
            f"{name}: certified at most {certificate.upper!r}, measured {found!r}: "
            "a defect of netdistance; please report it with the inputs"
        )
    return Exact(min(repeated.value, certificate.upper))
