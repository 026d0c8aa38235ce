"""The rows of a comparison, grouped into layers or blocks, and what a table says of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from netdistance.quantities import Quantity, Skipped, point
from netdistance.report.document import TensorRow
from netdistance.report.noise_floor import noise_floor, times
from netdistance.report.wording import percent, percent_span

Grouping = Literal["tensors", "layers", "blocks"]


@dataclass(frozen=True, slots=True)
class Layer:
    """The tensor of a layer that moved most, and the layer's share of deep relative trust.

    `change` is None, with a reason, where a tensor of the layer has no distance. A block and a
    single tensor are told in the same way.
    """

    name: str
    tensor: str
    change: float | None
    reason: str
    share: float
    rows: tuple[TensorRow, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """What a table says of each layer: a text, empty where there is none, and what it sorts by."""

    title: str
    text: Callable[[Layer], str]
    key: Callable[[Layer], float]


def block_of(layer: str) -> str:
    """The repeated unit that a layer belongs to: its name up to the last of the first numbers.

    >>> block_of("model.layers.12.self_attn.q_proj"), block_of("layer1.0.conv2"), block_of("fc")
    ('model.layers.12', 'layer1.0', 'fc')
    >>> block_of("blocks.3.experts.5.up")
    'blocks.3'
    """
    parts = layer.split(".")
    first = next((place for place, part in enumerate(parts) if part.isdigit()), None)
    return layer if first is None else ".".join(parts[: first + 1])


_OF_ROW: dict[Grouping, Callable[[TensorRow], str]] = {
    "tensors": lambda row: row.name,
    "layers": lambda row: row.layer,
    "blocks": lambda row: block_of(row.layer),
}


def layers_of(rows: Sequence[TensorRow], grouping: Grouping = "layers") -> list[Layer]:
    """The layers of a comparison, in the order of their first tensor."""
    groups: dict[str, list[TensorRow]] = {}
    for row in rows:
        groups.setdefault(_OF_ROW[grouping](row), []).append(row)
    return [_layer(name, members) for name, members in groups.items()]


def worst_first(rows: Sequence[TensorRow], grouping: Grouping = "layers") -> list[Layer]:
    """The layers that moved most, those without a distance before them; none without distances."""
    if not all("relative_frobenius" in row.metrics for row in rows):
        return []
    layers = layers_of(rows, grouping)
    return sorted(layers, key=lambda y: math.inf if y.change is None else y.change, reverse=True)


def columns_of(rows: Sequence[TensorRow]) -> tuple[Column, ...]:
    """The columns for these rows: change, what was measured beside it, and the share of trust."""
    measured = {name for row in rows for name, q in row.metrics.items() if point(q) is not None}
    floor = noise_floor(rows)
    columns = [Column("change", _change_text, lambda y: math.inf if y.change is None else y.change)]
    if "relative_spectral" in measured:
        columns.append(_column("spectral", "relative_spectral", percent_span))
    if floor is not None:
        columns.append(_column(f"x {floor.format} rounding", floor.metric, _times))
    if "sign_flips" in measured:
        columns.append(_column("sign flips", "sign_flips", percent_span))
        columns.append(_column("zeros a", "sparsity_a", percent_span))
        columns.append(_column("zeros b", "sparsity_b", percent_span))
    shares = Column("share of trust", _share_text, lambda y: y.share)
    return (*columns, shares)


def _column(title: str, metric: str, text: Callable[[Quantity], str]) -> Column:
    """The largest of a metric in the layer; empty where it has none."""

    def largest(layer: Layer) -> Quantity | None:
        known = [row.metrics[metric] for row in layer.rows if metric in row.metrics]
        there = [q for q in known if not isinstance(q, Skipped)]
        return max(there, key=lambda q: point(q) or 0.0, default=None)

    return Column(
        title,
        lambda layer: "" if (q := largest(layer)) is None else text(q),
        lambda layer: 0.0 if (q := largest(layer)) is None else point(q) or 0.0,
    )


def _change_text(layer: Layer) -> str:
    return f"skipped: {layer.reason}" if layer.change is None else percent(layer.change)


def _share_text(layer: Layer) -> str:
    return f"{100.0 * layer.share:.1f}%" if layer.share else ""


def _times(value: Quantity) -> str:
    return f"{times(number)}x" if (number := point(value)) else ""


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
