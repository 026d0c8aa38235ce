"""How far each layer's activations move, and how much of that the layer's own change puts in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from netdistance.networks.batch import Batch
from netdistance.networks.load import Network, State
from netdistance.pairing.layers import layer_of
from netdistance.probes.deviation import Reference, mean_over_inputs
from netdistance.probes.parts import (
    Part,
    See,
    activation_of,
    input_axes,
    numbered,
    parts_of,
    watched,
)
from netdistance.progress import SILENT, Progress
from netdistance.quantities import Quantity, Skipped
from netdistance.report.document import LayerRow

_SHAPE = "its output is no floating-point tensor with one axis that counts the inputs"
_NO_LAYER = "it is no part of a module that is called"


@dataclass(slots=True)
class _Calls:
    """What was measured of one call of a part: (n,) of each batch."""

    activation: list[Tensor] = field(default_factory=list)
    injected: list[Tensor] = field(default_factory=list)
    problem: str = ""

    def row(self, name: str, inputs: int) -> LayerRow:
        if self.problem:
            return LayerRow(name, Skipped(self.problem), Skipped(self.problem))
        return LayerRow(name, _mean(self.activation, inputs), _mean(self.injected, inputs))


def _mean(batches: list[Tensor], inputs: int) -> Quantity:
    if sum(map(len, batches)) != inputs:
        return Skipped("it is not called for all inputs, on both sides")
    return mean_over_inputs(torch.cat(batches))


@dataclass(frozen=True, slots=True)
class _Measurement:
    """Both networks on one batch after the other; the activations of one batch are held."""

    network: Network
    a: State
    b: State
    parts: tuple[Part, ...]
    moved: frozenset[str]
    axes: dict[str, int]
    calls: dict[str, _Calls]

    def batch(self, inputs: Batch) -> None:
        """Run both networks on a batch, and keep what was measured."""
        before: dict[str, Reference] = {}
        with watched(self.parts, self._first(before, inputs), self.moved):
            self.network(self.a, inputs)
        with watched(self.parts, self._second(before, inputs)):
            self.network(self.b, inputs)

    def _first(self, before: dict[str, Reference], inputs: Batch) -> See:
        """Keep a's activations, and measure what b's layer would make of the same arguments."""
        times: dict[str, int] = {}
        busy = False

        def see(part: Part, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            nonlocal busy
            if busy:
                return
            key = numbered(part, times)
            calls = self.calls.setdefault(key, _Calls())
            activation = activation_of(output, self.axes.get(key), inputs)
            if activation is None:
                calls.problem = _SHAPE
                return
            # a copy: a layer that works in place may follow
            reference = before[key] = Reference.of(activation.clone())
            if part.name not in self.moved:
                calls.injected.append(torch.where(reference.usable, 0.0, torch.nan).double())
                return
            busy = True
            try:
                again = _with(part, self.b, args, kwargs)
                changed = activation_of(again, self.axes.get(key), inputs)
            finally:
                busy = False
            if changed is not None:
                calls.injected.append(reference.deviation(changed))

        return see

    def _second(self, before: dict[str, Reference], inputs: Batch) -> See:
        """Measure how far b's activations are from a's."""
        times: dict[str, int] = {}

        def see(part: Part, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            key = numbered(part, times)
            reference = before.pop(key, None)
            activation = activation_of(output, self.axes.get(key), inputs)
            if reference is None or activation is None:
                return
            if activation.shape == reference.outputs.shape:
                self.calls[key].activation.append(reference.deviation(activation))

        return see


def layer_deviation(
    network: Network,
    a: State,
    b: State,
    inputs: Batch,
    *,
    batch_size: int,
    progress: Progress = SILENT,
) -> tuple[LayerRow, ...]:
    """The activations of each layer that holds tensors, in the order in which a calls them.

    `relative_activation` of an input is |h~ - h|_2 / |h|_2, h what the layer gives in network a and
    h~ in b; `injected` is |layer_b(x) - layer_a(x)|_2 / |layer_a(x)|_2 at the arguments x that the
    layer gets in a. Both are means over the inputs. A second call of a layer is called name#2.
    Costs two forwards, and each changed layer once more; memory holds the activations of a batch.
    """
    parts = parts_of(network)
    moved = {p.name for p in parts if any(not same(a[n], b[n]) for n in p.tensors.values())}
    axes = input_axes(network, a, inputs, parts)
    work = _Measurement(network, a, b, parts, frozenset(moved), axes, {})
    batches = inputs.split(batch_size)
    with progress.task("measuring the layers", len(batches)) as advance:
        for batch in batches:
            work.batch(batch.to(network.device))
            advance(1)
    return (
        *(calls.row(key, len(inputs)) for key, calls in work.calls.items()),
        *_unmeasured(network, parts, work.calls),
    )


def _unmeasured(
    network: Network, parts: tuple[Part, ...], calls: dict[str, _Calls]
) -> Iterator[LayerRow]:
    """Rows for layers that never ran, and for tensors that are no layer's own."""
    for part in parts:
        if part.name not in calls:
            never = Skipped("it is never called as a module")
            yield LayerRow(part.name, never, never)
    covered = {name for part in parts for name in part.tensors.values()}
    first = network.ties
    others = {
        layer_of(name): None
        for name in network.module.state_dict()
        if name not in covered and first.get(name, name) not in covered
    }
    for name in others:
        yield LayerRow(name, Skipped(_NO_LAYER), Skipped(_NO_LAYER))


def _with(part: Part, state: State, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the part gives with the tensors of another state."""
    own = {of: state[name] for of, name in part.tensors.items()}
    return torch.func.functional_call(part.module, own, args, kwargs, tie_weights=False)


def same(a: Tensor, b: Tensor) -> bool:
    """Whether every element is equal."""
    return a is b or torch.equal(a, b)
