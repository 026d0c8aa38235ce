"""Gradients of a network's outputs, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from netdistance.errors import InputError, first_line
from netdistance.networks.batch import Batch
from netdistance.networks.load import Network, State


class NoGradientError(Exception):
    """A network that runs and cannot be differentiated: what needs a gradient is skipped."""


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
        what = f"{type(error).__name__}: {first_line(error)}"
        raise NoGradientError(f"the backward fails: {what}") from error


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
