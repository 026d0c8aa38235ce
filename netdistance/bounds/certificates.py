"""Certificates: proved bounds on the relative output deviation of given inputs.

The recursion over the graph, per input, is d_out = L d_in + P for each operator (the rules in
networks/rules). R2 covers every change in a ball, R3 one known change. Sources: the telescoping
W~h~ + b~ - (Wh + b) = W~(h~ - h) + (dW h + db), and docs/concepts/certificates.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from netdistance.errors import BoundViolationError
from netdistance.networks.change import Ball, Change, KnownChange, Norms
from netdistance.networks.graph import Graph, bound_output, trace
from netdistance.networks.load import Network, State
from netdistance.networks.rules.base import NoRuleError
from netdistance.quantities import Exact, Interval, Quantity, Skipped
from netdistance.report.document import BoundRow, Over

# covers the rounding of float64 activations, of about 1e-13 here; the margin itself is not proved
INFLATION = 1e-9
ASSUMPTIONS = (
    "norm: l2 of the output, relative to the original output of each input",
    "scope: these inputs alone",
    f"real arithmetic, evaluated in float64 with its rounding covered by a margin of {INFLATION:g}",
)
# the traced graph must give the network's own output back, up to float32 inference
_SAME_OUTPUT = 1e-3


@dataclass(frozen=True, slots=True)
class Certifier:
    """Certificates of one network at one state, on the first few inputs.

    `skipped` holds the reason why there are none. Norms are proved once and used at every level.
    """

    inputs: Tensor  # (N, ...) float64
    norms: Norms
    ties: dict[str, str]
    graph: Graph | None
    skipped: str | None

    @classmethod
    def of(cls, network: Network, state: State, inputs: Tensor, outputs: Tensor) -> Certifier:
        """Trace the network and check that the graph reproduces `outputs` on `inputs`.

        Args:
            network: The architecture.
            state: Its weights.
            inputs: The inputs to cover, (N, ...).
            outputs: What the network gave for them and any inputs after them, (N or more, outputs).
        """
        norms, values = Norms(state), inputs.cpu().double()
        known = outputs[: inputs.shape[0]].cpu().double()
        try:
            if inputs.shape[0] == 0:
                raise NoRuleError("no inputs to certify; give --certify 1 or more")
            graph = trace(network)
            unchanged = Ball(norms, 0.0, frozenset(), network.ties)
            replayed = bound_output(graph, values, unchanged).value.flatten(1)
            error = (replayed - known).norm() / known.norm()
            if not bool(error < _SAME_OUTPUT):
                raise NoRuleError("the traced graph does not give the network's own output")
        except NoRuleError as error:
            return cls(values, norms, network.ties, None, str(error))
        return cls(values, norms, network.ties, graph, None)

    def ball(self, level: float, names: Sequence[str]) -> Quantity:
        """R2: over every change with |dW_l|_F <= level |W_l|_F of the named tensors."""
        return self._relative(Ball(self.norms, level, frozenset(names), self.ties))

    def known(self, changed: Norms, t: float = 1.0) -> Quantity:
        """R3: for the change from this state to (1 - t) this + t changed."""
        return self._relative(KnownChange(self.norms, changed, t))

    def _relative(self, change: Change) -> Quantity:
        """The largest relative bound over the inputs, as an interval from 0."""
        if self.graph is None:
            return Skipped(str(self.skipped))
        edge = bound_output(self.graph, self.inputs, change)
        upper = float((edge.deviation / edge.norms).max()) * (1.0 + INFLATION)
        if not upper < float("inf"):
            return Skipped("exceeds float64, or an output is zero")
        return Interval(0.0, upper)


def certificate_row(
    name: str, over: Over, inputs: int, value: Quantity, measured: Quantity, *assumptions: str
) -> BoundRow:
    """A certified row, with the assumptions that every certificate shares."""
    return BoundRow(name, "certified", over, inputs, value, measured, (*assumptions, *ASSUMPTIONS))


def require_above(
    name: str, certificate: Quantity, measured: Quantity, again: Callable[[], Quantity]
) -> None:
    """Stop where a certificate lies below what was measured.

    `again` repeats the measurement in float64, which alone decides: float32 inference adds its own
    rounding to a measurement, and a certificate is about real arithmetic.

    Raises:
        BoundViolationError: it still is below; the message gives both numbers.
    """
    if not isinstance(certificate, Interval) or not isinstance(measured, Exact):
        return
    if measured.value <= certificate.upper:
        return
    repeated = again()
    if not isinstance(repeated, Exact) or repeated.value > certificate.upper:
        found = repeated.value if isinstance(repeated, Exact) else measured.value
        raise BoundViolationError(
            f"{name}: certified at most {certificate.upper!r}, measured {found!r}: "
            "a defect of netdistance; please report it with the inputs"
        )
