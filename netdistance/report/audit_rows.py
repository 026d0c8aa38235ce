"""What an audit of compression says of each layer, and what the whole could cost or gain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from netdistance.quantities import Quantity
from netdistance.report.optional import OPTIONAL

AuditVerdict = Literal["lossless", "rounding", "more_than_rounding", "broken", "not_compared"]
Landing = Literal["landed", "partially", "not_at_all", "not_compared"]


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One layer under one way of storing it, that of b or a simulated one.

    `distance` is relative to a, over the weights of the layer. `rounding_of` names the format whose
    rounding it was judged by. `measured` is the mean output deviation with this layer alone
    compressed, `predicted` the same to first order. `reason` says why, where the verdict needs it.
    `floor` is the distance that rounding a to that format would have.
    """

    layer: str
    scheme: str
    rounding_of: str | None
    bits_per_weight: float | None
    distance: Quantity
    measured: Quantity
    verdict: AuditVerdict
    reason: str | None = field(default=None, metadata=OPTIONAL)
    predicted: Quantity | None = field(default=None, metadata=OPTIONAL)
    floor: Quantity | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, slots=True)
class KeepRow:
    """A layer to keep in high precision, the most useful first.

    `deviation` is the measured mean output deviation of the mixed model that keeps this layer and
    those above it in the list, `gain` by how much this entry lowered it.
    """

    layer: str
    gain: Quantity
    deviation: Quantity
    bits_per_weight: float | None  # of the mixed model


@dataclass(frozen=True, slots=True)
class FrontierRow:
    """One assignment of schemes to layers: its size, and what it does to the outputs.

    `predicted` adds up the layers' own squared deviations as if they were independent.
    """

    bits_per_weight: float
    deviation: Quantity
    predicted: Quantity
    assignment: Mapping[str, str]
    meets_budget: bool | None = field(default=None, metadata=OPTIONAL)
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class AdapterRow:
    """Whether the change that an adapter asks of a layer is in the merged weights.

    `share` is <merged - base, delta> / |delta|^2: 1 where it landed whole, 0 where it did not.
    `residual` is |merged - base - delta| / |delta|, and `rounding` what storing the merged weights
    in their dtype explains of it.
    """

    layer: str
    share: Quantity
    residual: Quantity
    rounding: Quantity
    dtype: str
    verdict: Landing
