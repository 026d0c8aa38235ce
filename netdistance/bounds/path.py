"""Both networks of a pair on the same inputs: along a + t(b - a), every bound beside the actual."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from netdistance.bounds.certificates import Certifier
from netdistance.bounds.trust import TRUSTS, trust_along
from netdistance.networks.affine import Norms
from netdistance.networks.batch import Batch
from netdistance.networks.load import Network, State
from netdistance.probes.deviation import (
    Reference,
    largest,
    mean_over_inputs,
    require_repeatable,
    run,
)
from netdistance.quantities import Exact, Skipped
from netdistance.report.document import BoundRow, PathPoint, Report


@dataclass(frozen=True, slots=True)
class Path:
    """The networks a + t(b - a) for t from 0 to 1, on one set of inputs."""

    network: Network
    a: State
    b: State
    inputs: Batch  # (N, ...)
    batch_size: int
    reference: Reference
    certifier: Certifier
    changed: Norms

    @classmethod
    def of(
        cls, network: Network, a: State, b: State, inputs: Batch, *, certify: int, batch_size: int
    ) -> Path:
        """The path, once network a has run; certificates cover the first `certify` inputs."""
        outputs = run(network, a, inputs, batch_size=batch_size)
        require_repeatable(network, a, inputs, outputs)
        certifier = Certifier.of(network, a, inputs[:certify])
        reference = Reference.of(outputs)
        return cls(network, a, b, inputs, batch_size, reference, certifier, Norms(b))

    def outputs(self, t: float) -> Tensor:
        """The outputs of the network at t, (N, outputs)."""
        return run(
            self.network, _between(self.a, self.b, t), self.inputs, batch_size=self.batch_size
        )

    def place(self, t: float, outputs: Tensor, report: Report) -> PathPoint:
        """The measurement at t, beside every bound there."""
        deviation = self.reference.deviation(outputs)
        modelled = (
            trust_along(row, report.tensors, t) for row in report.bounds if row.name in TRUSTS
        )
        worst = largest(deviation)
        bounds = (
            *(replace(row, inputs=len(deviation), measured=worst) for row in modelled),
            *self._certificates(t, deviation),
        )
        return PathPoint(t, mean_over_inputs(deviation), bounds)

    def _certificates(self, t: float, deviation: Tensor) -> tuple[BoundRow, ...]:
        covered = len(self.certifier.inputs)
        certified, worst = self.certifier.known(self.changed, t), largest(deviation[:covered])
        return certified.rows(covered, worst, lambda: self._in_float64(t))

    def _in_float64(self, t: float) -> Exact | Skipped:
        a, b = ({n: v.double() for n, v in state.items()} for state in (self.a, self.b))
        few = self.certifier.inputs
        first = Reference.of(run(self.network, a, few, batch_size=self.batch_size))
        moved = run(self.network, _between(a, b, t), few, batch_size=self.batch_size)
        return largest(first.deviation(moved))


def _between(a: State, b: State, t: float) -> State:
    if t == 1.0:
        return b
    return {
        name: tensor + t * (b[name] - tensor) if tensor.is_floating_point() else tensor
        for name, tensor in a.items()
    }
