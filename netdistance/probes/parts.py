"""The modules that are measured as layers, watched while the network runs."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from netdistance.networks.batch import Batch, without_padding
from netdistance.networks.load import Network, State
from netdistance.pairing.layers import layer_of

# what holds the tensors that torch.nn.utils.parametrize computes a weight from
_PARAMETRIZED = "parametrizations"


@dataclass(frozen=True, slots=True)
class Part:
    """A module that is measured as one layer, with its tensors by their names inside of it."""

    name: str
    module: nn.Module
    tensors: dict[str, str]


def parts_of(network: Network) -> tuple[Part, ...]:
    """The modules that hold tensors, in the order they are defined.

    One with layers inside of it has only the tensors that are its own. torch's attention uses the
    tensors of its output projection without calling it: it is one part.
    """
    found: list[Part] = []
    inside: set[nn.Module] = set()
    state = network.module.state_dict()
    for name, module in network.module.named_modules():
        if module in inside:
            continue
        whole = _is_whole(module)
        inside |= set(module.modules()) if whole else set()
        prefix = f"{name}." if name else ""
        own = {of: prefix + of for of in _tensors(module, recurse=whole) if prefix + of in state}
        if name and own:
            found.append(Part(name, module, own))
        elif own:  # the network's own tensors are layers by themselves
            found += [Part(layer_of(n), module, {of: n}) for of, n in own.items()]
    return tuple(found)


def _tensors(module: nn.Module, *, recurse: bool) -> list[str]:
    named = chain(
        module.named_parameters(recurse=recurse, remove_duplicate=False),
        module.named_buffers(recurse=recurse, remove_duplicate=False),
    )
    return [name for name, _ in named]


def _is_whole(module: nn.Module) -> bool:
    """Whether no module inside of it is a layer by itself."""
    inner = (child for name, child in module.named_children() if name != _PARAMETRIZED)
    return isinstance(module, nn.MultiheadAttention) or not any(
        _tensors(child, recurse=True) for child in inner
    )


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


def numbered(part: Part, times: dict[str, int]) -> str:
    """The name of a part's next call: its own, then name#2 and so on."""
    times[part.name] = times.get(part.name, 0) + 1
    return part.name if times[part.name] == 1 else f"{part.name}#{times[part.name]}"


def input_axes(
    network: Network, state: State, inputs: Batch, parts: tuple[Part, ...]
) -> dict[str, int]:
    """Which axis of a part's output counts the inputs, by call; parts without such an axis are not.

    It is the one axis that grows from 1 to 2 where two inputs run instead of one: that an axis is
    as long as a batch says nothing, since that of tokens may be too.
    """
    one, two = (_shapes(network, state, inputs[few], parts) for few in ([0], [0, -1]))
    axes = {call: _grown(shape, two.get(call)) for call, shape in one.items()}
    return {call: axis for call, axis in axes.items() if axis is not None}


def _shapes(
    network: Network, state: State, inputs: Batch, parts: tuple[Part, ...]
) -> dict[str, torch.Size]:
    """The shape of each part's output, by call."""
    found: dict[str, torch.Size] = {}
    times: dict[str, int] = {}

    def see(part: Part, args: Any, kwargs: Any, output: Any) -> None:
        call, tensor = numbered(part, times), _first_tensor(output)
        if tensor is not None:
            found[call] = tensor.shape

    with watched(parts, see):
        network(state, inputs.to(network.device))
    return found


def _grown(one: torch.Size, two: torch.Size | None) -> int | None:
    """The only axis of two shapes that differs, if it grows from 1 to 2."""
    if two is None or len(one) != len(two):
        return None
    grown = [axis for axis, sizes in enumerate(zip(one, two, strict=True)) if sizes[0] != sizes[1]]
    return grown[0] if len(grown) == 1 and (one[grown[0]], two[grown[0]]) == (1, 2) else None


def activation_of(output: Any, axis: int | None, inputs: Batch) -> Tensor | None:
    """A module's output as (N, features), 0 at padding; None if `axis` does not count the inputs.

    Of several tensors it is the first.
    """
    tensor = _first_tensor(output)
    if tensor is None or axis is None or tensor.ndim <= axis or not tensor.numel():
        return None
    if tensor.shape[axis] != len(inputs):
        return None
    return without_padding(tensor.movedim(axis, 0), inputs).reshape(len(inputs), -1)


def _first_tensor(output: Any) -> Tensor | None:
    """The first tensor of a module's output, if it is one of floating point."""
    if isinstance(output, dict):
        output = tuple(output.values())
    if isinstance(output, tuple | list):
        output = next((member for member in output if isinstance(member, Tensor)), None)
    return output if isinstance(output, Tensor) and output.is_floating_point() else None
