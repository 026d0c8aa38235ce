"""Curvature of the mean loss: largest eigenvalues, trace, and a relative trace."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Protocol

import torch
from torch import Tensor

from netdistance.bounds.gradients import NoGradientError
from netdistance.probes.mean_loss import MeanLoss
from netdistance.probes.noise import unit_noise
from netdistance.progress import SILENT, Advance, Progress
from netdistance.quantities import Estimate, Interval, Quantity, Skipped
from netdistance.report.width_rows import Curvature

# Lanczos steps at most: the outermost eigenvalues come first
STEPS = 48
# they end where the recurrence puts each residual below this share of its eigenvalue: a tenth of
# what three digits show
CONVERGED = 1e-4
# 2 GiB of Lanczos vectors in float64; fewer steps where they would need more
MOST_NUMBERS = 2**28
_NOT_FINITE = Skipped("a second derivative is not finite")


class Operator(Protocol):
    """A symmetric matrix by its product with a vector, float64."""

    @property
    def size(self) -> int:
        """How many rows it has."""

    @property
    def device(self) -> torch.device:
        """Where its vectors are."""

    def __call__(self, flat: Tensor) -> Tensor:
        """The product with (size,)."""


@dataclass(frozen=True, slots=True)
class Hessian:
    """The Hessian of the mean loss in the named parameters, as a product with flat vectors."""

    loss: MeanLoss
    names: tuple[str, ...]

    @property
    def device(self) -> torch.device:
        """Where its vectors are."""
        return self.loss.network.device

    @property
    def size(self) -> int:
        """How many numbers the parameters hold."""
        return sum(self.loss.state[name].numel() for name in self.names)

    def __call__(self, flat: Tensor) -> Tensor:
        """H v of (n,), float64, computed in the dtype of the loss.

        Raises:
            NoGradientError: the network cannot be differentiated twice.
        """
        tensors = [self.loss.state[name] for name in self.names]
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        shaped = (part.view_as(own).to(own.dtype) for part, own in zip(parts, tensors, strict=True))
        product = self.loss.hessian_product(dict(zip(self.names, shaped, strict=True)))
        return torch.cat([product[name].flatten().double() for name in self.names])


def curvature(
    loss: MeanLoss,
    moved: tuple[str, ...],
    *,
    eigenvalues: int,
    draws: int,
    seed: int,
    progress: Progress = SILENT,
) -> Curvature:
    """Of the Hessian in all parameters; the relative trace is of `moved` alone.

    Eigenvalues are searched and traces sampled in the network's own dtype, float32 or wider: a
    quarter of the time on a small convolutional network. What is said of an eigenvalue is computed
    in float64. Skipped with the reason where the network cannot be differentiated twice. Cost: at
    most 48 Hessian-vector products for the eigenvalues and one for each of them, and two for each
    draw; one is a forward and about three backward passes.
    """
    exact = Hessian(loss.in_float64(), loss.network.parameters)
    half = any(loss.state[n].dtype in (torch.float16, torch.bfloat16) for n in exact.names)
    own = exact if half else Hessian(loss, exact.names)
    work = min(STEPS, exact.size) + eigenvalues + 2 * draws
    with progress.task("curvature", work) as advance:
        try:
            values = top_eigenvalues(exact, own, eigenvalues, seed=seed, advance=advance)
            trace = _trace(own, draws, seed, advance)
            relative = _relative_trace(own.loss, moved, draws, seed, advance)
            return Curvature(exact.size, values, trace, relative)
        except NoGradientError as error:
            why = Skipped(str(error))
            return Curvature(exact.size, (why,), why, why)


def top_eigenvalues(
    operator: Operator, near: Operator, wanted: int, *, seed: int, advance: Advance
) -> tuple[Quantity, ...]:
    """The largest eigenvalues that Lanczos found of a symmetric operator, the largest first.

    The search asks `near`, the operator itself or a cheaper one that differs by rounding.

    Of a Ritz pair (t, y), |y| = 1, the interval t -+ |Hy - ty|_2 contains an eigenvalue: a theorem
    for every symmetric H (Parlett 1998, 4.5.1). It need not be the largest, and two intervals that
    overlap may contain the same one. The residual is computed anew from y and the operator itself,
    so that all rounding in the search is in it; rounding in that product, some 1e-15 of |H|, is
    not.
    """
    size = operator.size
    steps = min(STEPS, size, MOST_NUMBERS // size)
    if steps < min(wanted, size):
        return (Skipped(f"{size:,} parameters: the Lanczos vectors would take over 2 GiB"),)
    basis, tridiagonal = _lanczos(near, steps, wanted, seed, advance)
    advance(min(STEPS, size) - len(basis))
    if not bool(torch.isfinite(tridiagonal).all()):
        return (_NOT_FINITE,)
    values, vectors = torch.linalg.eigh(tridiagonal)
    order = values.argsort(descending=True)[:wanted]
    found: list[Quantity] = []
    for place in order.tolist():
        ritz = vectors[:, place].to(basis.device) @ basis
        ritz = ritz / torch.linalg.vector_norm(ritz)
        image = operator(ritz)
        advance(1)
        middle = float(ritz @ image)
        radius = float(torch.linalg.vector_norm(image - middle * ritz))
        found.append(Interval(middle - radius, middle + radius))
    return tuple(found)


def _lanczos(
    operator: Operator, steps: int, wanted: int, seed: int, advance: Advance
) -> tuple[Tensor, Tensor]:
    """Orthonormal vectors (taken, size) and the tridiagonal matrix of H in them.

    Every vector is orthogonalised twice against all before it. Where the space is exhausted, a new
    random vector begins another block, so that repeated eigenvalues are found too.
    """
    size, generator = operator.size, torch.Generator().manual_seed(seed)
    basis = torch.zeros(steps, size, dtype=torch.float64, device=operator.device)
    matrix = torch.zeros(steps, steps, dtype=torch.float64)
    vector = _random_unit(size, generator, basis[:0])
    scale = 0.0
    for step in range(steps):
        basis[step] = vector
        image = operator(vector)
        advance(1)
        matrix[step, step] = float(vector @ image)
        scale = max(scale, float(torch.linalg.vector_norm(image)))
        rest = _orthogonal(image, basis[: step + 1])
        length = float(torch.linalg.vector_norm(rest))
        taken = step + 1
        exhausted = length <= 1e-12 * scale
        found = matrix[:taken, :taken]
        if taken == steps or (not exhausted and _converged(found, length, wanted)):
            return basis[:taken], found
        if exhausted:
            vector = _random_unit(size, generator, basis[:taken])
        else:
            matrix[step, taken] = matrix[taken, step] = length
            vector = rest / length
    raise AssertionError("at least one step")


def _converged(tridiagonal: Tensor, length: float, wanted: int) -> bool:
    """Whether the residuals `length` |s_last| of the largest Ritz values are small (Parlett 13.2).

    Not where there are no more values than wanted, or one is not finite.
    """
    if len(tridiagonal) <= wanted or not bool(torch.isfinite(tridiagonal).all()):
        return False
    values, vectors = torch.linalg.eigh(tridiagonal)
    residuals = length * vectors[-1, -wanted:].abs()
    return bool((residuals <= CONVERGED * values[-wanted:].abs()).all())


def _random_unit(size: int, generator: torch.Generator, basis: Tensor) -> Tensor:
    drawn = torch.randn(size, generator=generator, dtype=torch.float64).to(basis.device)
    vector = _orthogonal(drawn, basis)
    unit: Tensor = vector / torch.linalg.vector_norm(vector)
    return unit


def _orthogonal(vector: Tensor, basis: Tensor) -> Tensor:
    for _ in range(2):  # once leaves what cancellation left: twice is enough (Kahan)
        vector = vector - (basis @ vector) @ basis
    return vector


def _trace(hessian: Hessian, draws: int, seed: int, advance: Advance) -> Quantity:
    """The trace by Hutchinson: the mean of v'Hv over independent signs v."""
    samples = []
    for draw in range(draws):
        generator = torch.Generator().manual_seed(seed + draw)
        signs = torch.randint(0, 2, (hessian.size,), generator=generator).double() * 2.0 - 1.0
        vector = signs.to(hessian.device)
        samples.append(float(vector @ hessian(vector)))
        advance(1)
    return _mean(samples)


def _relative_trace(
    loss: MeanLoss, names: tuple[str, ...], draws: int, seed: int, advance: Advance
) -> Quantity:
    """sum_l |W_l|_F^2 / n_l tr H_ll: the mean of z'Hz over the unit noise z of a radius.

    The tensors of z are independent, each uniform on the sphere of radius |W_l|_F, so that
    E z z' is |W_l|_F^2 / n_l on the diagonal. Where a layer is scaled by c and the next by 1/c and
    the function stays, z'Hz does too, draw by draw.
    """
    samples = []
    for draw in range(draws):
        z = unit_noise(loss.state, names, seed=seed + draw)
        product = loss.hessian_product(z)
        samples.append(sum(float((z[name] * product[name]).sum()) for name in names))
        advance(1)
    return _mean(samples)


def _mean(samples: list[float]) -> Quantity:
    if not all(map(math.isfinite, samples)):
        return _NOT_FINITE
    return Estimate(fmean(samples), stdev(samples) / len(samples) ** 0.5)
