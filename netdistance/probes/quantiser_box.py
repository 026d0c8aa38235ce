"""What rounding to a format may do to a weight: every element moves by at most half a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from netdistance.distances.noise_floor import ROUNDING_METRICS
from netdistance.distances.structure import weight_norms
from netdistance.grids.formats import INT4_GROUP, INT4_TOP, INT8_TOP
from netdistance.linalg.weight_norm import WeightNorms
from netdistance.networks.affine import Norms
from netdistance.networks.box import Box
from netdistance.quantities import Skipped
from netdistance.report.document import Scope


def _segment_steps(weight: Tensor, top: int, group: int | None) -> Tensor:
    """max|w| / top of each row of the first axis, or of each `group` along it, last one ragged."""
    rows = weight.abs().flatten(1)
    group = group or rows.shape[1]
    groups = torch.nn.functional.pad(rows, (0, -rows.shape[1] % group))
    steps = groups.view(rows.shape[0], -1, group).amax(2) / top
    return steps.repeat_interleave(group, 1)[:, : rows.shape[1]].reshape(weight.shape)


# the step of each element of a float tensor with two or more axes, none empty, by format;
# those of the noise floor
STEPS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "int8": partial(_segment_steps, top=INT8_TOP, group=None),
    "int4": partial(_segment_steps, top=INT4_TOP, group=INT4_GROUP),
}
_SOURCES = {metric.format: metric.source for metric in ROUNDING_METRICS}


@dataclass(frozen=True, slots=True)
class QuantiserBox:
    """Uniform noise in the box |D_i| <= step_i / 2 of a format in `STEPS`; exact zeros stay.

    Rounding to nearest lies in the box, and so does every other way to round that goes no further.
    A format rounds tensors with two or more axes alone: the others stay in every scope. The extent
    of a tensor is half a step for each element.
    """

    format: str

    def scopes(self, asked: tuple[Scope, ...]) -> tuple[Scope, ...]:
        """`weights`: that is what moves, whatever was asked for."""
        return ("weights",)

    def extent(self, weight: Tensor) -> Tensor:
        """Half a step of each nonzero element, of the weight's shape."""
        if weight.ndim < 2 or not weight.numel():
            return torch.zeros_like(weight)
        wide = weight.to(torch.promote_types(weight.dtype, torch.float32))
        return torch.where(wide == 0, 0.0, STEPS[self.format](wide) / 2.0)

    def draw(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        """Independent elements, uniform in the box."""
        draw = torch.rand(weight.shape, generator=generator, dtype=torch.float32)
        extent = self.extent(weight)
        within = draw.mul_(2.0).sub_(1.0).to(extent.device, extent.dtype)
        return within.mul_(extent).to(weight.dtype)

    def ascend(self, extent: Tensor, gradient: Tensor) -> Tensor | None:
        """The corner of the gradient's signs; where it is zero, the middle."""
        largest = float(gradient.abs().max()) if gradient.numel() else 0.0
        if not 0.0 < largest < float("inf"):
            return None
        return (extent * gradient.sign()).to(gradient.dtype)

    def energy(self, extent: Tensor, gradient: Tensor) -> Tensor:
        """sum_i r_i^2 / 3 g_i^2: a number uniform in [-r, r] has variance r^2 / 3."""
        return (extent.double() * gradient.double()).square().sum() / 3.0

    def farthest(self, weight: Tensor) -> float:
        """|r|_F / |W|_F at a corner of the box; a draw has about 1 / sqrt(3) of it."""
        norm = float(torch.linalg.vector_norm(weight, dtype=torch.float64))
        corner = float(torch.linalg.vector_norm(self.extent(weight), dtype=torch.float64))
        return corner / norm if norm else 0.0

    def reach(self, weight: Tensor, norms: WeightNorms) -> WeightNorms | Skipped:
        """The norms of r itself, a corner: |D^(w)|_2 <= |r^(0)|_2 for every |D_i| <= r_i.

        Where the norm of r is known from a reshape alone, sqrt(taps) |r|_F may be the smaller end.
        """
        corner = weight_norms(self.extent(weight).numpy())
        if isinstance(corner, Skipped):
            return corner
        around = corner.of_ball(math.prod(weight.shape[2:])).operator
        upper = min(corner.operator.upper, around.upper)
        return replace(corner, operator=replace(corner.operator, upper=upper))

    def change(
        self, norms: Norms, scale: float, names: Sequence[str], ties: Mapping[str, str]
    ) -> Box:
        """The box around each named tensor, from its weights in float64."""
        radii = {name: scale * self.extent(norms.state[name]) for name in names}
        return Box(norms, radii, ties)

    def describe(self, scale: float, scope: Scope) -> str:
        """The box of each element."""
        return (
            f"each nonzero element of the weights moves by at most {scale / 2.0:g} step of "
            f"{self.format}, {_SOURCES[self.format]}; zeros and tensors with one axis stay"
        )
