"""Whether a traced graph, or other weights of it, are the same function: by its outputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from netdistance.errors import InputError
from netdistance.networks.change import NoChange
from netdistance.networks.graph import Graph, bound_output, input_edge
from netdistance.networks.load import Network, State
from netdistance.networks.rules.base import NoRuleError

# of an output: both are evaluated in float64
_SAME_OUTPUT = 1e-6
# redrawn weights that it must do so for, besides its own
_REDRAWN = 3


def require_faithful(graph: Graph, network: Network, state: State, inputs: Tensor) -> None:
    """Check that the graph gives the network's own outputs, at its weights and at random ones.

    A trace does not see everything: `x += y` or an in-place ReLU on a value that is used again, a
    number read from a weight or buffer. At the network's own weights such a part may have no effect
    (a branch that starts at zero), and on inputs like these neither (one in place that changes
    negative numbers alone), so that other weights and other inputs of the same sizes are tried too.

    Raises:
        NoRuleError: an operator has no rule, or the outputs differ.
    """
    ties, inputs = network.ties, _others_too(inputs)
    names = [n for n, t in state.items() if t.is_floating_point() and ties.get(n, n) == n]
    generator = torch.Generator().manual_seed(0)
    for attempt in range(1 + _REDRAWN):
        weights = {**state, **(_redrawn(state, names, generator) if attempt else {})}
        weights = {name: weights[ties.get(name, name)] for name in weights}
        replayed = bound_output(graph, input_edge(inputs), NoChange(weights)).value
        replayed = replayed.reshape(replayed.shape[0], -1)
        placed = {name: tensor.to(network.device) for name, tensor in weights.items()}
        try:
            own = network(placed, inputs.to(network.device)).detach().flatten(1).cpu()
        except InputError as error:
            raise NoRuleError(f"the network does not run in float64: {error}") from error
        if not bool(torch.isfinite(own).all()):
            raise NoRuleError("the network's own output is not finite")
        same = own.shape == replayed.shape and bool(
            ((own - replayed).norm(dim=1) <= _SAME_OUTPUT * own.norm(dim=1)).all()
        )
        if not same:
            raise NoRuleError("the traced graph does not give the network's own output")


def _others_too(inputs: Tensor) -> Tensor:
    """The inputs, (N, ...), their negatives, and Gaussian ones of their size, (3 N, ...)."""
    if not inputs.is_floating_point():
        return inputs
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype)
    size = float(inputs.square().mean().sqrt()) or 1.0
    return torch.cat([inputs, -inputs, size * draw])


def same_function(graph: Graph, a: State, b: State, inputs: Tensor) -> bool:
    """Whether two states give a graph the same outputs, on inputs (N, ...) and on others."""
    every = input_edge(_others_too(inputs))
    first, second = (bound_output(graph, every, NoChange(state)) for state in (a, b))
    apart = (first.rows - second.rows).norm(dim=1)
    return bool((apart <= _SAME_OUTPUT * first.norms).all())


def _redrawn(state: State, names: Sequence[str], generator: torch.Generator) -> dict[str, Tensor]:
    """Gaussian weights of about the norm of each tensor, or of 1 for a tensor of zeros."""
    drawn = {}
    for name in names:
        size = (float(state[name].norm()) or 1.0) / max(1, state[name].numel()) ** 0.5
        draw = torch.randn(state[name].shape, generator=generator, dtype=torch.float64)
        drawn[name] = size * (draw.abs() if name.endswith("running_var") else draw)
    return drawn
