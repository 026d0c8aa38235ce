"""Which layers the deviation of the outputs comes from, by exchanging layers of a and b."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from netdistance.networks.batch import Batch
from netdistance.networks.load import Network, State
from netdistance.pairing.layers import layer_of
from netdistance.probes.deviation import Reference, mean_over_inputs, run
from netdistance.probes.layer_deviation import same
from netdistance.probes.parts import call_order
from netdistance.progress import SILENT, Progress
from netdistance.quantities import Exact, Quantity, Skipped
from netdistance.report.document import AttributionRow, Scheme

MOST_LAYERS = 64
MOST_INPUTS = 256
# a scheme runs the network on at most this many inputs, over all layers, or on _FEWEST each
MOST_RUNS, _FEWEST = 2048, 16
SCHEMES: tuple[Scheme, ...] = ("telescoping", "swap_in", "swap_out")


@dataclass(frozen=True, slots=True)
class _Layer:
    """Tensors that are exchanged together, by every name that they have in a state."""

    name: str
    tensors: tuple[str, ...]


def attribute(
    network: Network,
    a: State,
    b: State,
    inputs: Batch,
    *,
    batch_size: int,
    progress: Progress = SILENT,
) -> tuple[AttributionRow, ...]:
    """What each layer adds to the mean relative deviation of the outputs, three ways.

    - telescoping: layers are exchanged one after another, in the order in which the network enters
      them; the value is the deviation after an exchange minus before it. They sum to the deviation.
    - swap_in: the deviation of a with this layer of b alone.
    - swap_out: the deviation of b minus that of b with this layer of a.

    A layer is a module's own tensors; tied ones go with the first of their names. A layer that did
    not move has exactly 0. Costs three forwards a layer on the first inputs: 256, or 2048 over the
    number of layers, at least 16. The 64 layers that moved most, in |b - a|_F / |a|_F, are told
    apart, and the others are exchanged together, last.
    """
    found = [_Layer(name, tensors) for name, tensors in tensors_by_layer(network, a).items()]
    layers = _in_order(found, call_order(network, a, inputs))
    moved = [layer for layer in layers if not _same(layer, a, b)]
    apart = _most(moved, a, b)
    rest = [layer for layer in moved if layer not in apart]
    together = _Layer(_others(rest), tuple(n for layer in rest for n in layer.tensors))
    steps = [*apart, *([together] if rest else [])]
    few = inputs[: min(MOST_INPUTS, max(_FEWEST, MOST_RUNS // max(1, len(steps))))]
    measured: dict[str, dict[Scheme, Quantity]] = {}
    if moved:
        exchange = _Exchange.of(network, a, b, few, batch_size)
        with progress.task("attributing the deviation", len(steps)) as advance:
            measured = exchange.measure(steps, advance)
    why = Skipped(f"not among the {MOST_LAYERS} layers that moved most: see {_others(rest)}")
    zero, hidden = dict.fromkeys(SCHEMES, Exact(0.0)), dict.fromkeys(SCHEMES, why)
    values = [
        (layer.name, measured.get(layer.name, hidden if layer in rest else zero))
        for layer in layers
    ]
    values += [(name, found) for name, found in measured.items() if rest and name == _others(rest)]
    return tuple(
        AttributionRow(name, scheme, found[scheme], len(few))
        for name, found in values
        for scheme in SCHEMES
    )


@dataclass(frozen=True, slots=True)
class _Exchange:
    """Runs networks with some layers of a and some of b."""

    a: State
    b: State
    reference: Reference
    deviation: Callable[[State], Tensor]  # of a state, (N,)

    @classmethod
    def of(cls, network: Network, a: State, b: State, inputs: Batch, batch_size: int) -> _Exchange:
        reference = Reference.of(run(network, a, inputs, batch_size=batch_size))

        def deviation(state: State) -> Tensor:
            return reference.deviation(run(network, state, inputs, batch_size=batch_size))

        return cls(a, b, reference, deviation)

    def measure(
        self, layers: list[_Layer], advance: Callable[[int], None]
    ) -> dict[str, dict[Scheme, Quantity]]:
        """The value of each layer in each scheme; together the layers are all that moved."""
        total = self.deviation(self.b)
        before = self.reference.deviation(self.reference.outputs)
        reached = dict(self.a)
        found: dict[str, dict[Scheme, Quantity]] = {}
        for layer in layers:
            reached |= {name: self.b[name] for name in layer.tensors}
            after = self.deviation(reached)
            alone = self.deviation({**self.a, **{name: self.b[name] for name in layer.tensors}})
            without = self.deviation({**self.b, **{name: self.a[name] for name in layer.tensors}})
            found[layer.name] = {
                "telescoping": _difference(after, before),
                "swap_in": mean_over_inputs(alone),
                "swap_out": _difference(total, without),
            }
            before = after
            advance(1)
        return found


def _difference(more: Tensor, less: Tensor) -> Quantity:
    """The mean of the difference over inputs, its error that of the pairs; both must be finite."""
    for side in (more, less):
        if isinstance(mean := mean_over_inputs(side), Skipped):
            return mean
    return mean_over_inputs(more - less)


def tensors_by_layer(network: Network, state: State) -> dict[str, tuple[str, ...]]:
    """The tensors of a state by layer; every name of a tied tensor is with its first one."""
    first, groups = network.ties, dict[str, list[str]]()
    for name in state:
        groups.setdefault(layer_of(first.get(name, name)), []).append(name)
    return {layer: tuple(names) for layer, names in groups.items()}


def _in_order(layers: list[_Layer], order: dict[str, int]) -> list[_Layer]:
    """The layers as the network enters them; one that is never entered, with what holds it."""

    def entered(layer: _Layer) -> int:
        name = layer.name
        while name and name not in order:
            name = name.rpartition(".")[0]
        return order.get(name, 0)

    return sorted(layers, key=entered)


def _same(layer: _Layer, a: State, b: State) -> bool:
    return all(same(a[name], b[name]) for name in layer.tensors)


def _most(moved: list[_Layer], a: State, b: State) -> list[_Layer]:
    """The layers that moved most, at most `MOST_LAYERS`, in the given order."""
    if len(moved) <= MOST_LAYERS:
        return moved
    far = sorted(moved, key=lambda layer: _relative(layer, a, b), reverse=True)[:MOST_LAYERS]
    return [layer for layer in moved if layer in far]


def _relative(layer: _Layer, a: State, b: State) -> float:
    """|b - a|_F / |a|_F over all tensors of the layer; infinite where it is not a number."""
    change = sum(float((b[n].double() - a[n].double()).square().sum()) for n in layer.tensors)
    size = sum(float(a[n].double().square().sum()) for n in layer.tensors)
    ratio = change / size if size else float("inf")
    return ratio if ratio == ratio else float("inf")


def _others(rest: list[_Layer]) -> str:
    return f"({len(rest):,} other layers)"
