"""The Jacobian of a network's outputs in its input, and its spectral norm, at one input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netdistance.errors import InputError, first_line
from netdistance.linalg.spectral_norm import spectral_norm
from netdistance.networks.load import Network, State
from netdistance.quantities import Interval, Skipped

# the smaller side of a Jacobian costs a pass of the network for each of its numbers
MOST_PASSES = 1024
# 512 MiB in float64, of which the spectral norm holds two copies more
MOST_ELEMENTS = 2**26
# copies of one input that are differentiated at once: their activations are all held
_COPIES = 64


@dataclass(frozen=True, slots=True)
class LocalStretch:
    """How far a small change of one input moves the outputs, per unit of that change."""

    norm: Interval
    direction: Tensor  # (*input) float64: the unit change that moves them most


def local_stretch(
    network: Network, state: State, x: Tensor, outputs: int, *, batch_size: int
) -> LocalStretch | Skipped:
    """The spectral norm of df/dx at one input x, (1, ...) float64, and its top singular vector.

    The Jacobian is made by automatic differentiation of the network in float64: a row per output
    where there are at most `MOST_PASSES`, else a column per number of the input. The interval is
    proved for that matrix; what its entries are rounded by is not in it. At a kink, as that of
    ReLU at 0, it is the derivative that torch takes there. `state` is float64, on the network's
    device. Cost: a forward and a backward pass for each row or column.
    """
    if min(outputs, x.numel()) > MOST_PASSES or outputs * x.numel() > MOST_ELEMENTS:
        size = f"{outputs:,} x {x.numel():,}"
        return Skipped(f"the Jacobian is {size}: more than {MOST_PASSES:,} passes or 512 MiB")
    make = _by_rows if outputs <= MOST_PASSES else _by_columns
    try:
        jacobian = make(network, state, x, outputs, min(batch_size, _COPIES))
    except (InputError, RuntimeError) as error:  # torch's own, of an operator without a derivative
        return Skipped(f"the network has no derivative in float64: {first_line(error)}")
    if jacobian is None:
        return Skipped("the outputs have no derivative in the input: the forward detaches them")
    if not np.isfinite(jacobian).all():
        return Skipped("a derivative is not finite")
    direction = torch.from_numpy(_top_direction(jacobian)).view(x.shape[1:])
    return LocalStretch(spectral_norm(jacobian), direction)


def _by_rows(
    network: Network, state: State, x: Tensor, outputs: int, at_once: int
) -> NDArray[np.float64] | None:
    rows = []
    for start in range(0, outputs, at_once):
        chosen = torch.arange(start, min(start + at_once, outputs), device=x.device)
        with torch.enable_grad():
            copies = x.repeat(len(chosen), *[1] * (x.ndim - 1)).requires_grad_()
            returned = network(state, copies).flatten(1)
            if not returned.requires_grad:
                return None
            picked = returned.gather(1, chosen.unsqueeze(1)).sum()
            (gradient,) = torch.autograd.grad(picked, copies)
        rows.append(gradient.flatten(1).cpu())
    return torch.cat(rows).numpy()


def _by_columns(
    network: Network, state: State, x: Tensor, outputs: int, at_once: int
) -> NDArray[np.float64] | None:
    columns = []
    for start in range(0, x.numel(), at_once):
        chosen = torch.arange(start, min(start + at_once, x.numel()), device=x.device)
        with torch.enable_grad():
            copies = x.repeat(len(chosen), *[1] * (x.ndim - 1)).requires_grad_()
            returned = network(state, copies).flatten(1)
            if not returned.requires_grad:
                return None
            # J'u is linear in u, so that its j-th number has the gradient J e_j in u, a column
            u = torch.zeros_like(returned, requires_grad=True)
            (pulled,) = torch.autograd.grad(returned, copies, u, create_graph=True)
            picked = pulled.flatten(1).gather(1, chosen.unsqueeze(1)).sum()
            (column,) = torch.autograd.grad(picked, u)
        columns.append(column.cpu())
    return torch.cat(columns).T.contiguous().numpy()


def _top_direction(jacobian: NDArray[np.float64]) -> NDArray[np.float64]:
    """A unit vector near the top right singular one, (inputs,)."""
    scale = float(np.abs(jacobian).max()) or 1.0
    scaled = jacobian / scale
    wide = scaled.shape[0] <= scaled.shape[1]
    gram = scaled @ scaled.T if wide else scaled.T @ scaled
    top = np.linalg.eigh(gram)[1][:, -1]
    vector = scaled.T @ top if wide else top
    norm = float(np.linalg.norm(vector))
    # a zero Jacobian stretches no direction more than another
    return vector / norm if norm else np.full(vector.size, vector.size**-0.5)
