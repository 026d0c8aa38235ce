"""Norms and singular values of a network's weights, and how they grow while it trains."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netdistance.quantities import Exact, Quantity, Skipped, point
from netdistance.report.run_rows import Growth

# of the shorter side: a Gram matrix of this size takes a quarter of a second to decompose
LARGEST_SIDE = 1024

State = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class WeightNorms:
    """Of one weight, as a matrix with a row for each output."""

    name: str
    frobenius_norm: Quantity
    largest_singular_value: Quantity
    median_singular_value: Quantity


def weight_norms(state: State, names: Sequence[str]) -> tuple[WeightNorms, ...]:
    """The norms of these tensors of two or more axes, in float64.

    Singular values are the roots of the eigenvalues of the smaller Gram matrix: the largest right
    to 1e-12, one 1e-4 as large to 1e-6 (relative, of a matrix with `LARGEST_SIDE` rows).
    """
    return tuple(_norms(name, state[name]) for name in names)


def growth(
    start: Sequence[WeightNorms],
    now: Sequence[WeightNorms],
    of: Callable[[WeightNorms], Quantity],
) -> Growth:
    """One of the norms over what it was at the start, over the weights of a network."""
    pairs = [(point(of(before)), of(after)) for before, after in zip(start, now, strict=True)]
    ratios: list[float] = []
    for before, after in pairs:
        if isinstance(after, Skipped):
            return Growth(after, after, after)
        if before and (value := point(after)) is not None:
            ratios.append(value / before)
    if not ratios:
        none = Skipped("no weight had a norm above zero at the start")
        return Growth(none, none, none)
    least = min(ratios)
    mean = math.exp(math.fsum(map(math.log, ratios)) / len(ratios)) if least > 0.0 else 0.0
    return Growth(Exact(mean), Exact(least), Exact(max(ratios)))


def _norms(name: str, tensor: Tensor) -> WeightNorms:
    wide = torch.complex128 if tensor.is_complex() else torch.float64
    matrix = tensor.detach().cpu().to(wide).flatten(1)
    if not bool(matrix.isfinite().all()):
        lost = Skipped(f"{name} is not finite")
        return WeightNorms(name, lost, lost, lost)
    frobenius = Exact(float(torch.linalg.vector_norm(matrix)))
    if min(matrix.shape) > LARGEST_SIDE:
        large = Skipped(f"{name} has more than {LARGEST_SIDE} rows and columns")
        return WeightNorms(name, frobenius, large, large)
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    # scaled, so that no square overflows or underflows
    scale = float(matrix.abs().max()) or 1.0
    gram = (matrix / scale) @ (matrix / scale).mH
    values = torch.linalg.eigvalsh(gram).clamp(min=0.0).sqrt() * scale
    median = Exact(float(values.quantile(0.5)))
    return WeightNorms(name, frobenius, Exact(float(values[-1])), median)
