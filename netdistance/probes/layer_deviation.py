"""How far each layer's activations move, and how much of that the layer's own change puts in."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from netdistance.networks.batch import Batch
from netdistance.networks.load import Network, State
from netdistance.pairing.layers import layer_of
from netdistance.probes.deviation import Reference, mean_over_inputs
from netdistance.progress import SILENT, Progress
from netdistance.quantities import Quantity, Skipped
from netdistance.report.document import LayerRow

_SHAPE = "its output is no floating-point tensor with the inputs as first axis"
_OWNER = "its tensors belong to a module with layers of its own"


@dataclass(frozen=True, slots=True)
class Part:
    """A module that is measured as one layer, with its tensors by their names inside of it."""

    name: str
    module: nn.Module
    tensors: dict[str, str]


def parts_of(network: Network) -> tuple[Part, ...]:
    """The modules that hold tensors and no modules, in the order they are defined.

    torch's attention uses the tensors of its output projection without calling it: it is one part.
    """
    found: list[Part] = []
    inside: set[nn.Module] = set()
    state = network.module.state_dict()
    for name, module in network.module.named_modules():
        whole = isinstance(module, nn.MultiheadAttention)
        if module in inside or not (whole or next(module.children(), None) is None):
            continue
        inside |= set(module.modules())
        prefix = f"{name}." if name else ""
        own = {of: prefix + of for of in module.state_dict() if prefix + of in state}
        if own:
            found.append(Part(name or layer_of(next(iter(own))), module, own))
    return tuple(found)


See = Callable[[Part, tuple[Any, ...], dict[str, Any], Any], None]


@contextmanager
def watched(
    parts: tuple[Part, ...], see: See, again: Container[str] = frozenset()
) -> Iterator[None]:
    """Call `see` with part, arguments and output whenever a part ran; no hook is left behind.

    Those of the parts named in `again` are copies from before the call: a layer may work in place
    on its arguments, and these are to be run again.
    """
    with torch.inference_mode():
        handles = []
        try:
            for part in parts:
                before, after = _hooks(part, see, copied=part.name in again)
                handles.append(part.module.register_forward_pre_hook(before, with_kwargs=True))
                handles.append(part.module.register_forward_hook(after, with_kwargs=True))
            yield
        finally:
            for handle in handles:
                handle.remove()


def _hooks(
    part: Part, see: See, *, copied: bool
) -> tuple[Callable[..., None], Callable[..., None]]:
    """What runs before a layer and after it."""
    kept: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        kept.append((_copied(args), _copied(kwargs)) if copied else (args, kwargs))

    def after(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        see(part, *kept.pop(), output)

    return before, after


def _copied(value: Any) -> Any:
    """Arguments with copies of every tensor."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: _copied(member) for key, member in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_copied(member) for member in value)
    return value


def call_order(network: Network, state: State, inputs: Batch) -> dict[str, int]:
    """When each module is first entered, by name, the whole network "" at 0; those that are."""
    order: dict[str, int] = {}
    handles = []
    try:
        for name, module in network.module.named_modules():

            def hook(module: nn.Module, args: Any, name: str = name) -> None:
                order.setdefault(name, len(order))

            handles.append(module.register_forward_pre_hook(hook))
        with torch.inference_mode():
            network(state, inputs[:1].to(network.device))
    finally:
        for handle in handles:
            handle.remove()
    return order


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
    calls: dict[str, _Calls]

    def batch(self, inputs: Batch) -> None:
        """Run both networks on a batch, and keep what was measured."""
        before: dict[str, Reference] = {}
        with watched(self.parts, self._first(before, len(inputs)), self.moved):
            self.network(self.a, inputs)
        with watched(self.parts, self._second(before, len(inputs))):
            self.network(self.b, inputs)

    def _first(self, before: dict[str, Reference], inputs: int) -> See:
        """Keep a's activations, and measure what b's layer would make of the same arguments."""
        times: dict[str, int] = {}
        busy = False

        def see(part: Part, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            nonlocal busy
            if busy:
                return
            key = _numbered(part, times)
            calls = self.calls.setdefault(key, _Calls())
            activation = _activation(output, inputs)
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
                changed = _activation(_with(part, self.b, args, kwargs), inputs)
            finally:
                busy = False
            if changed is not None:
                calls.injected.append(reference.deviation(changed))

        return see

    def _second(self, before: dict[str, Reference], inputs: int) -> See:
        """Measure how far b's activations are from a's."""
        times: dict[str, int] = {}

        def see(part: Part, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            key = _numbered(part, times)
            reference, activation = before.pop(key, None), _activation(output, inputs)
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
    work = _Measurement(network, a, b, parts, frozenset(moved), {})
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
        yield LayerRow(name, Skipped(_OWNER), Skipped(_OWNER))


def _numbered(part: Part, times: dict[str, int]) -> str:
    times[part.name] = times.get(part.name, 0) + 1
    return part.name if times[part.name] == 1 else f"{part.name}#{times[part.name]}"


def _with(part: Part, state: State, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the part gives with the tensors of another state."""
    own = {of: state[name] for of, name in part.tensors.items()}
    return torch.func.functional_call(part.module, own, args, kwargs, tie_weights=False)


def _activation(output: Any, inputs: int) -> Tensor | None:
    """The first tensor of a module's output as (inputs, features), if it has that first axis."""
    if isinstance(output, dict):
        output = tuple(output.values())
    if isinstance(output, tuple | list):
        output = next((member for member in output if isinstance(member, Tensor)), None)
    if not isinstance(output, Tensor) or not output.is_floating_point():
        return None
    fits = output.ndim > 0 and output.shape[0] == inputs and output.numel() > 0
    return output.reshape(inputs, -1) if fits else None


def same(a: Tensor, b: Tensor) -> bool:
    """Whether every element is equal."""
    return a is b or torch.equal(a, b)
