"""Each distance as a multiple of what rounding alone would do: the noise floor of a format."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from netdistance.linalg.rounding_sums import RoundingSums
from netdistance.linalg.sums import PairSums
from netdistance.pairing.match import TensorPair
from netdistance.quantities import Exact, Quantity, Skipped

# outside this and its inverse, the square of a step is no normal float64
LEAST_SCALE = 1e-140


@dataclass(frozen=True, slots=True)
class RoundingMetric:
    """|b - a|_F over the nominal error of rounding a to a format, sqrt(sum step^2 / 12).

    1 means: as far as rounding to that format would move the tensor. `energy` is the square of the
    nominal error. Within 10% of real rounding on Gaussian weights of 128 rows or more.
    """

    name: str
    format: str
    source: str
    energy: Callable[[RoundingSums], float]


ROUNDING_METRICS: tuple[RoundingMetric, ...] = (
    RoundingMetric(
        "rounding_multiple_bf16", "bf16", "8 significant bits", lambda sums: sums.bf16_energy
    ),
    RoundingMetric(
        "rounding_multiple_fp8", "fp8", "e4m3, tensor scaled to 448", lambda sums: sums.fp8_energy
    ),
    RoundingMetric(
        "rounding_multiple_int8", "int8", "max / 127 of each row", lambda sums: sums.int8_energy
    ),
    RoundingMetric(
        "rounding_multiple_int4", "int4", "max / 7 of groups of 128", lambda sums: sums.int4_energy
    ),
)


@dataclass(frozen=True, slots=True)
class Rounding:
    """What rounding a would cost, and the names of the formats that hold it already; parts add."""

    sums: RoundingSums
    grids: frozenset[str] = frozenset()

    def __add__(self, other: Rounding) -> Rounding:
        """Both parts of a, self before other; one of them has looked for grids."""
        return Rounding(self.sums + other.sums, self.grids | other.grids)


def rounding_multiples(
    pair: TensorPair, sums: PairSums, rounding: Rounding | None
) -> dict[str, Quantity]:
    """Every rounding multiple by name; `sums` is finite and of a floating-point pair."""
    return {metric.name: _multiple(metric, pair, sums, rounding) for metric in ROUNDING_METRICS}


def _multiple(
    metric: RoundingMetric, pair: TensorPair, sums: PairSums, rounding: Rounding | None
) -> Quantity:
    if len(pair.a.shape) < 2:
        return Skipped("one axis: rounding is by rows and groups of a matrix")
    if not any(sums.difference.leaves):
        return Exact(0.0)
    if not pair.a.is_weight:
        return Skipped(f"{pair.a.encoding}: rounding is of real floating point")
    if rounding is None:
        return Skipped("the reference is zero, or of a magnitude whose square float64 cannot hold")
    energy = metric.energy(rounding.sums)
    if metric.format in rounding.grids or energy == 0.0:
        return Skipped(f"a already is on the {metric.format} grid: rounding would not move it")
    multiple = sums.difference.norm / math.sqrt(energy)
    return Exact(multiple) if math.isfinite(multiple) else Skipped("exceeds float64")


def has_rows(pair: TensorPair) -> bool:
    """Whether rounding by rows means anything for it: floating point, with two or more axes."""
    return pair.a.is_weight and pair.a.elements > 0
