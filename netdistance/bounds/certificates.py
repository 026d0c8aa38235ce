"""Certificates: proved bounds on the relative output deviation of given inputs.

The recursion over the graph, per input, is d_out = L d_in + P for each operator (the rules in
networks/rules). R2 covers every change in a ball, R3 one known change. Sources: the telescoping
W~h~ + b~ - (Wh + b) = W~(h~ - h) + (dW h + db), and docs/concepts/certificates.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netdistance.errors import BoundViolationError, InputError
from netdistance.networks.batch import Batch, in_float64
from netdistance.networks.change import Ball, Change, KnownChange, NoChange, Norms
from netdistance.networks.graph import Graph, bound_output, trace
from netdistance.networks.load import Network, State
from netdistance.networks.rules.base import Edge, NoRuleError
from netdistance.quantities import Exact, Interval, Quantity, Skipped
from netdistance.report.document import BoundRow, Over

# covers the rounding of float64 activations, of about 1e-13 here; the margin itself is not proved
INFLATION = 1e-9
ASSUMPTIONS = (
    "norm: l2 of the output, relative to the original output of each input",
    "scope: these inputs alone",
    f"real arithmetic, evaluated in float64 with its rounding covered by a margin of {INFLATION:g}",
)
# the traced graph must give the network's own output back, both in float64
_SAME_OUTPUT = 1e-6
# redrawn weights that it must do so for, besides its own
_REDRAWN = 3
# of the output: what float64 inference itself may be off by when it checks a certificate
_ROUNDING = 1e-12


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
            _require_faithful(graph, network, norms.state, values)
        except NoRuleError as error:
            return cls(values, norms, network.ties, None, str(error))
        return cls(values, norms, network.ties, graph, None)

    def ball(self, level: float, names: Sequence[str]) -> Quantity:
        """R2: over every change with |dW_l|_F <= level |W_l|_F of the named tensors."""
        return self.ball_and_top1(level, names)[0]

    def ball_and_top1(self, level: float, names: Sequence[str]) -> tuple[Quantity, Quantity]:
        """R2, and the fraction of the inputs whose top-1 class no change in the ball replaces."""
        return self.certify(Ball(self.norms, level, frozenset(names), self.ties))

    def certify(self, change: Change) -> tuple[Quantity, Quantity]:
        """The bound of a change, and the fraction of the inputs whose top-1 class it leaves.

        The class of input x stays where sqrt(2) |f~(x) - f(x)|_2 is below the margin between its
        two largest outputs: one output falls and another rises by e_i and e_j, and e_i + e_j is at
        most sqrt(2) |e|_2. The others may stay as well: the fraction is proved from below.
        """
        edge = self._edge(change)
        return self._relative(edge, change), _top1_unchanged(edge, change.confidence)

    def known(self, changed: Norms, t: float = 1.0) -> Quantity:
        """R3: for the change from this state to (1 - t) this + t changed."""
        for name, tensor in self.norms.state.items():
            counter = name.endswith("num_batches_tracked")  # read in training alone
            exact = not tensor.is_floating_point() and not counter
            if exact and not torch.equal(tensor, changed.state[name]):
                # a forward may branch on it, which a trace does not show
                return Skipped(f"{name} holds integers or truth values that differ")
        change = KnownChange(self.norms, changed, t)
        return self._relative(self._edge(change), change)

    def _relative(self, edge: Edge | Skipped, change: Change) -> Quantity:
        """The largest relative bound over the inputs, as an interval from 0."""
        if isinstance(edge, Skipped):
            return edge
        if zeros := int((edge.norms == 0).sum()):
            return Skipped(f"{zeros} of {len(self.inputs)} outputs are zero: relative to nothing")
        upper = float((edge.deviation / edge.norms).max()) * (1.0 + INFLATION)
        if not upper < float("inf"):
            return Skipped("exceeds float64, or a weight is not finite")
        return Interval(0.0, upper, change.confidence)

    def _edge(self, change: Change) -> Edge | Skipped:
        """The outputs, and how far each can move."""
        if self.graph is None or not isinstance(self.inputs, Tensor):
            return Skipped(str(self.skipped))
        try:
            return bound_output(self.graph, self.inputs, change)
        except NoRuleError as error:
            return Skipped(str(error))


def _top1_unchanged(edge: Edge | Skipped, confidence: float) -> Quantity:
    """From the fraction of inputs with sqrt(2) times the bound below the margin to 1."""
    if isinstance(edge, Skipped):
        return edge
    if edge.value.ndim != 2 or edge.value.shape[1] < 2:
        return Skipped("the output is not one score for each of several classes")
    first, second = edge.value.topk(2, dim=1).values.unbind(1)
    # the margin is a difference of numbers that are rounded as the deviation is
    margin = (first - second) - INFLATION * (first.abs() + second.abs())
    certified = math.sqrt(2.0) * (1.0 + INFLATION) * edge.deviation < margin
    return Interval(float(certified.double().mean()), 1.0, confidence)


def _require_faithful(graph: Graph, network: Network, state: State, inputs: Tensor) -> None:
    """Check that the graph gives the network's own outputs, at its weights and at random ones.

    A trace does not see everything: `x += y` or an in-place ReLU on a value that is used again, a
    number read from a weight or buffer. At the network's own weights such a part may have no effect
    (a branch that starts at zero), so that other weights of the same sizes are tried as well.

    Raises:
        NoRuleError: an operator has no rule, or the outputs differ.
    """
    ties = network.ties
    names = [n for n, t in state.items() if t.is_floating_point() and ties.get(n, n) == n]
    generator = torch.Generator().manual_seed(0)
    for attempt in range(1 + _REDRAWN):
        weights = {**state, **(_redrawn(state, names, generator) if attempt else {})}
        weights = {name: weights[ties.get(name, name)] for name in weights}
        replayed = bound_output(graph, inputs, NoChange(weights)).value
        replayed = replayed.reshape(replayed.shape[0], -1)
        placed = {name: tensor.to(network.device) for name, tensor in weights.items()}
        try:
            own = network(placed, inputs.to(network.device)).detach().flatten(1).cpu()
        except InputError as error:
            raise NoRuleError(f"the network does not run in float64: {error}") from error
        if not bool(torch.isfinite(own).all()):
            raise NoRuleError("the network's own output is not finite")
        same = own.shape == replayed.shape and bool(
            ((own - replayed).norm(dim=1) <= _SAME_OUTPUT * own.norm(dim=1)).all()
        )
        if not same:
            raise NoRuleError("the traced graph does not give the network's own output")


def _redrawn(state: State, names: Sequence[str], generator: torch.Generator) -> dict[str, Tensor]:
    """Gaussian weights of about the norm of each tensor, or of 1 for a tensor of zeros."""
    drawn = {}
    for name in names:
        size = (float(state[name].norm()) or 1.0) / max(1, state[name].numel()) ** 0.5
        draw = torch.randn(state[name].shape, generator=generator, dtype=torch.float64)
        drawn[name] = size * (draw.abs() if name.endswith("running_var") else draw)
    return drawn


def certificate_row(
    name: str, over: Over, inputs: int, value: Quantity, measured: Quantity, *assumptions: str
) -> BoundRow:
    """A certified row, with the assumptions that every certificate shares."""
    return BoundRow(name, "certified", over, inputs, value, measured, (*assumptions, *ASSUMPTIONS))


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
