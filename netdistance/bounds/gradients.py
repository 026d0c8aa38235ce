"""Gradients of a network's outputs, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Sequence

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
