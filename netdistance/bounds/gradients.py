"""Gradients of a network's outputs, or the reason why there are none."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from netdistance.errors import InputError, first_line
from netdistance.networks.batch import Batch
from netdistance.networks.load import Network, State


class NoGradientError(Exception):
    """A network that runs and cannot be differentiated: what needs a gradient is skipped."""


def tracked(network: Network, state: State, names: Sequence[str]) -> tuple[State, State]:
    """Leaves for the named tensors, and the state with them in place, tied tensors together."""
    leaves = {name: state[name].detach().clone().requires_grad_() for name in names}
    ties = network.ties
    return leaves, {name: leaves.get(ties.get(name, name), own) for name, own in state.items()}


def tracked_outputs(network: Network, state: State, batch: Batch) -> Tensor:
    """The outputs (N, outputs) with their graph, for a state some of whose tensors are tracked.

    Raises:
        NoGradientError: the forward does not run with a gradient, or its result has none.
    """
    try:
        outputs = network(state, batch).flatten(1)
    except InputError as error:  # without a gradient it has run before
        raise NoGradientError(f"the forward fails with a gradient: {error}") from error
    if not outputs.requires_grad:
        raise NoGradientError("the forward gives no gradient")
    return outputs


def gradients(
    of: Tensor,
    leaves: Sequence[Tensor],
    direction: Tensor | None = None,
    *,
    again: bool = False,
    differentiable: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradient of `of` by each leaf, None where it has no part; `again` keeps the graph.

    A `differentiable` one has a graph of its own, for a derivative of it.

    Raises:
        NoGradientError: the backward of the user's network fails.
    """
    try:
        return torch.autograd.grad(
            of,
            leaves,
            direction,
            retain_graph=again or differentiable,
            create_graph=differentiable,
            allow_unused=True,
        )
    except Exception as error:  # a backward of the user's own may raise anything
        raise NoGradientError(f"the backward fails: {_what(error)}") from error


class Linearised:
    """A network to first order in some tensors, on one batch: f(W + D) = f(W) + J D."""

    def __init__(self, network: Network, state: State, names: Sequence[str], batch: Batch) -> None:
        """Run the network at its weights `state`.

        Raises:
            NoGradientError: the network gives no gradient.
        """
        self._network, self._state, self._batch = network, state, batch
        self._leaves, moving = tracked(network, state, names)
        # fused attention has neither a second derivative nor a forward one
        with sdpa_kernel(SDPBackend.MATH):
            self._outputs = tracked_outputs(network, moving, batch)
        self.outputs = self._outputs.detach()  # (N, outputs)
        self._u = torch.zeros_like(self.outputs, requires_grad=True)
        self._pulled: State = {}  # J' u with its graph, where it is asked for

    def pulled(self, u: Tensor) -> State:
        """J' u for each tensor that has a part in the outputs; u is (N, outputs).

        Raises:
            NoGradientError: the backward of the user's network fails.
        """
        found = gradients(self._outputs, list(self._leaves.values()), u, again=True)
        return {n: g for n, g in zip(self._leaves, found, strict=True) if g is not None}

    def pushed(self, change: Mapping[str, Tensor]) -> Tensor:
        """J D, (N, outputs), for a change of some of the tensors; the others stay.

        J' u is linear in u, so that its derivative along D is J D: a backward pass of the backward
        pass. Some operators of torch, as hardsigmoid, have no such derivative, and others, as
        recurrent ones, none in forward mode: the second is tried where the first fails.

        Raises:
            NoGradientError: both fail.
        """
        if not change:
            return torch.zeros_like(self.outputs)
        try:
            return self._backward_twice(change)
        except Exception:  # a backward of the user's own may raise anything
            try:
                return self._forward_mode(change)
            except Exception as error:  # as above
                raise NoGradientError(f"no derivative along a change: {_what(error)}") from error

    def _backward_twice(self, change: Mapping[str, Tensor]) -> Tensor:
        if not self._pulled:
            named = list(self._leaves.values())
            found = torch.autograd.grad(
                self._outputs, named, self._u, create_graph=True, allow_unused=True
            )
            self._pulled = {n: g for n, g in zip(self._leaves, found, strict=True) if g is not None}
        pulled = [self._pulled[name] for name in change]
        along = list(change.values())
        (pushed,) = torch.autograd.grad(pulled, self._u, along, retain_graph=True)
        return pushed

    def _forward_mode(self, change: Mapping[str, Tensor]) -> Tensor:
        ties = self._network.ties

        def outputs(moved: dict[str, Tensor]) -> Tensor:
            state = {n: moved.get(ties.get(n, n), own) for n, own in self._state.items()}
            return self._network(state, self._batch).flatten(1)

        at = {name: self._state[name] for name in change}
        with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
            # torch's forward mode warns of what it is itself made with
            warnings.simplefilter("ignore", DeprecationWarning)
            pushed: Tensor = torch.func.jvp(outputs, (at,), (dict(change),))[1]
        return pushed


def _what(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def require_again(first: Sequence[Tensor | None]) -> None:
    """Check that gradients of a loss of softmax can be differentiated again in every part.

    torch gives zero, and no error, where an operator of the user's is once_differentiable or
    detaches its gradient; a product with the Hessian would silently lack that part. A gradient
    through softmax depends on what the outputs depend on, so that one without a graph has lost it.

    Raises:
        NoGradientError: one cannot.
    """
    present = [gradient for gradient in first if gradient is not None]
    lost = any(not gradient.requires_grad for gradient in present)
    if lost or any(node.name().endswith("::Error") for node in _nodes(present)):
        raise NoGradientError("the backward of an operator cannot be differentiated again")


def _nodes(tensors: Sequence[Tensor]) -> Iterator[Any]:
    """Every node of the graph behind the tensors, once."""
    waiting = [tensor.grad_fn for tensor in tensors if tensor.grad_fn is not None]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        yield node
        found = {after for after, _ in node.next_functions if after is not None} - seen
        seen |= found
        waiting += found
