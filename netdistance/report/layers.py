"""The rows of a comparison, grouped into layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from netdistance.quantities import Skipped, point
from netdistance.report.document import TensorRow
from netdistance.report.noise_floor import NoiseFloor, multiple


@dataclass(frozen=True, slots=True)
class Layer:
    """The tensor of a layer that moved most, and the layer's share of deep relative trust.

    `change` is None, with a reason, where a tensor of the layer has no distance.
    """

    name: str
    tensor: str
    change: float | None
    reason: str
    share: float
    rows: tuple[TensorRow, ...]


def layers_of(rows: Sequence[TensorRow]) -> list[Layer]:
    """The layers of a comparison, in the order of their first tensor."""
    groups: dict[str, list[TensorRow]] = {}
    for row in rows:
        groups.setdefault(row.layer, []).append(row)
    return [_layer(name, members) for name, members in groups.items()]


def worst_first(rows: Sequence[TensorRow]) -> list[Layer]:
    """The layers that moved most, those without a distance before them; none without distances."""
    if not all("relative_frobenius" in row.metrics for row in rows):
        return []
    return sorted(
        layers_of(rows), key=lambda y: math.inf if y.change is None else y.change, reverse=True
    )


def against_rounding(layer: Layer, floor: NoiseFloor | None) -> float | None:
    """The largest multiple of the floor's rounding in the layer, where one is known."""
    multiples = [multiple(row, floor.format) for row in layer.rows] if floor is not None else []
    return max((m for m in multiples if m is not None), default=None)


def _layer(name: str, members: Sequence[TensorRow]) -> Layer:
    def change(row: TensorRow) -> float:
        # a tensor without a distance is what a reader must see first
        value = point(row.metrics["relative_frobenius"])
        return math.inf if value is None else value

    worst = max(members, key=change)
    shares = [point(row.metrics["trust_share"]) for row in members if "trust_share" in row.metrics]
    moved = worst.metrics["relative_frobenius"]
    return Layer(
        name=name,
        tensor=worst.name.removeprefix(f"{name}.") if worst.name != name else "",
        change=point(moved),
        reason=moved.reason if isinstance(moved, Skipped) else "",
        share=math.fsum(share for share in shares if share is not None),
        rows=tuple(members),
    )
