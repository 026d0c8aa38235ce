"""Trust in a region of noise: the products of (1 + change) over its farthest changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netdistance.bounds.trust import (
    DEEP_RELATIVE_TRUST,
    MODEL,
    SPECTRAL_TRUST,
    Known,
    modelled_row,
    total_of,
    trust_of_sum,
)
from netdistance.distances.structure import PairNorms, relative_spectral, weight_norms
from netdistance.networks.load import State
from netdistance.probes.noise import Noise, UnitNoise
from netdistance.progress import SILENT, Progress
from netdistance.quantities import Exact, Quantity, Skipped
from netdistance.report.document import BoundRow
from netdistance.report.wording import count

# the largest |D|_2 / |W|_2 of a unit noise on the weight of a name
Reaches = Mapping[tuple[UnitNoise, str], Quantity]
NOT_FINITE = "a weight is not finite"
_OPERATOR = "spectral norms: of a kernel at stride 1 over all input sizes, as in sensitivity"


@dataclass(frozen=True, slots=True)
class RegionTrust:
    """Deep relative trust of any level, and its spectral sibling where `reaches` are known.

    A region grows in proportion to its level, and so does the farthest change of each weight, by
    either norm: norms are proved once and serve every level.
    """

    weights: tuple[str, ...]  # whose changes are multiplied: those with two or more axes
    reaches: Reaches | None = None

    @classmethod
    def of(
        cls,
        state: State,
        weights: Sequence[str],
        units: Sequence[UnitNoise],
        *,
        spectral: bool,
        progress: Progress = SILENT,
    ) -> RegionTrust:
        """With the norms that `spectral` asks for; `state` is in float64, on the CPU."""
        if not spectral:
            return cls(tuple(weights))
        reaches: dict[tuple[UnitNoise, str], Quantity] = {}
        with progress.task("spectral norms", len(weights)) as advance:
            for name in weights:
                own = weight_norms(state[name].numpy())
                for unit in units:
                    far = own if isinstance(own, Skipped) else unit.reach(state[name], own)
                    reaches[unit, name] = relative_spectral(PairNorms(own, far))
                advance(1)
        return cls(tuple(weights), reaches)

    def rows(self, noise: Noise, sizes: Mapping[str, float]) -> tuple[BoundRow, ...]:
        """The rows of one level, not yet measured.

        `sizes` holds the farthest relative Frobenius change of each tensor that moves.
        """
        also = "biases and gains move too, and are not in the product"
        assumptions = [MODEL, f"product over {count(len(self.weights), 'weight')}"]
        assumptions += [also] if len(sizes) > len(self.weights) else []
        moved = [Exact(sizes[name]) for name in self.weights if math.isfinite(sizes[name])]
        finite = len(moved) == len(self.weights)
        total = total_of(moved) if finite else Skipped(NOT_FINITE)
        deep = _row(DEEP_RELATIVE_TRUST.name, total, assumptions)
        if self.reaches is None:
            return (deep,)
        total = self._spectral(self.reaches, noise)
        return deep, _row(SPECTRAL_TRUST.name, total, [*assumptions, _OPERATOR])

    def _spectral(self, reaches: Reaches, noise: Noise) -> Known | Skipped:
        """The sum of log(1 + rho_l / s_l), both ends proved."""
        changes = {name: reaches[noise.unit, name] for name in self.weights}
        for name, change in changes.items():
            if isinstance(change, Skipped):
                return Skipped(f"a weight has no spectral norm: {name}: {change.reason}")
        return total_of(changes.values(), noise.scale)


def _row(name: str, total: Known | Skipped, assumptions: Sequence[str]) -> BoundRow:
    if isinstance(total, Skipped):
        return modelled_row(total, assumptions, name=name, over="ball")
    return trust_of_sum(total, assumptions, name=name, over="ball")
