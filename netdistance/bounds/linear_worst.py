"""The worst that noise does to the linearised network: an estimate of the worst case, no bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from netdistance.bounds.gradients import Linearised, NoGradientError
from netdistance.networks.batch import Batch
from netdistance.networks.load import Network, State
from netdistance.probes.deviation import Reference, largest
from netdistance.probes.noise import UnitNoise
from netdistance.quantities import Exact, Skipped

STEPS = 8
# beside the output itself; with one, small nets in a box were up to 31% below the best of 26, with
# three up to 4%
_RANDOM_STARTS = 3
# a step that gains less than this is the last
_LEAST_GAIN = 1e-6
# what the products from both sides may differ by, of the change: float32 stays far below
_ADJOINT = 1e-2


def linear_worst(
    network: Network,
    state: State,
    reference: Reference,
    inputs: Batch,
    names: Sequence[str],
    unit: UnitNoise,
    *,
    seed: int,
) -> Exact | Skipped:
    """The largest |J D| / |f(x)| found over the inputs, J = df/dW at x and D in the unit region.

    For each input by itself: for a unit direction u of the output the best change is the D that
    maximises <J' u, D>, which the region gives in closed form, and for a change D the best
    direction is J D / |J D|. Neither step makes |J D| smaller. Four starts, of 8 alternations at
    most: the output itself, and seeded random directions. What is found is a lower end of the
    largest |J D|, often the largest itself. Being linear it is computed once and serves every
    level. Cost: a forward, and up to 64 backward passes, for each input. Source: E2 of
    docs/concepts/certificates.md.
    """
    if not len(inputs):
        return Skipped("no inputs; give --certify 1 or more")
    found = torch.full((len(inputs),), torch.nan, dtype=torch.float64)
    extents = {name: unit.extent(state[name]) for name in names}
    try:
        for index in torch.nonzero(reference.usable.cpu()).flatten().tolist():
            batch = inputs[index : index + 1].to(network.device)
            moved = _farthest(network, state, batch, unit, extents, seed + index)
            found[index] = moved / float(reference.norms[index])
    except NoGradientError as error:
        return Skipped(str(error))
    return largest(found)


def _farthest(
    network: Network,
    state: State,
    batch: Batch,
    unit: UnitNoise,
    extents: Mapping[str, Tensor],
    seed: int,
) -> float:
    """The largest |J D| found for one input."""
    if not extents:  # nothing moves
        return 0.0
    linear = Linearised(network, state, tuple(extents), batch)
    generator = torch.Generator().manual_seed(seed)
    shape = (_RANDOM_STARTS, *linear.outputs.shape)
    drawn = torch.randn(shape, generator=generator).to(linear.outputs)
    return max(_alternate(linear, unit, extents, start) for start in (linear.outputs, *drawn))


def _alternate(
    linear: Linearised, unit: UnitNoise, extents: Mapping[str, Tensor], start: Tensor
) -> float:
    best, direction = 0.0, _unit(start)
    for _ in range(STEPS):
        slopes = linear.pulled(direction)
        ascended = {name: unit.ascend(extents[name], slope) for name, slope in slopes.items()}
        change = {name: farther for name, farther in ascended.items() if farther is not None}
        moved = linear.pushed(change)
        norm = float(torch.linalg.vector_norm(moved, dtype=torch.float64))
        _require_adjoint(slopes, change, direction, moved, norm)
        if norm <= best * (1.0 + _LEAST_GAIN):
            return max(best, norm)
        best, direction = norm, _unit(moved)
    return best


def _require_adjoint(
    slopes: State, change: Mapping[str, Tensor], direction: Tensor, moved: Tensor, norm: float
) -> None:
    """Check that <J' u, D> is <u, J D>: a backward of the user's own may hold what it detaches.

    Raises:
        NoGradientError: it is not, or one is not finite.
    """
    left = sum(float((slopes[name].double() * d.double()).sum()) for name, d in change.items())
    right = float((direction.double() * moved.double()).sum())
    if not norm < float("inf") or not abs(left) < float("inf"):
        raise NoGradientError("a gradient is not finite")
    if abs(left - right) > _ADJOINT * max(norm, abs(left)):
        raise NoGradientError("the gradient has another derivative than the outputs")


def _unit(vector: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(vector, dtype=torch.float64)
    return (vector.double() / norm).to(vector)
