"""Gradient breakdown of one network: down its gradient, under noise, and toward another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean, stdev

import torch

from netdistance.bounds.descent import Pull, loss_change_row, max_relative_step_row
from netdistance.bounds.trust import MODEL, log1p_sum, modelled_row, trust_of_sum
from netdistance.networks.load import State
from netdistance.probes.gradient_breakdown import Motion, Moved, Start, norm
from netdistance.probes.minimum_width import Change
from netdistance.probes.noise import unit_noise
from netdistance.progress import SILENT, Progress
from netdistance.quantities import Estimate, Exact, Quantity, Skipped, point
from netdistance.report.document import BoundRow, Over
from netdistance.report.gradient_rows import Descent, GradientPoint, Move, TensorGradient
from netdistance.report.wording import count

# t on the way from a to b
PLACES = (0.01, 0.03, 0.1, 0.3, 1.0)
_LOSS = "the loss there is not finite"

Found = tuple[tuple[GradientPoint, ...], Descent]


def along_step(start: Start, sizes: Sequence[float], progress: Progress = SILENT) -> Found:
    """All tensors down their gradients by each relative size, and each alone for the loss slice.

    Costs for each size a backward pass and a forward for every tensor, over all inputs.
    """
    change = start.downhill()
    points, found = list[GradientPoint](), list[Moved]()
    with progress.task("down the gradient", len(sizes) * (1 + len(change))) as advance:
        for size in sizes:
            found.append(start.moved(change, size))
            advance(1)
            alone: dict[str, Quantity] = {}
            for name in change:
                alone[name] = _number(start.loss.at({name: change[name]}, size).loss)
                advance(1)
            points.append(_on_ray("step", size, found, start, alone))
    return tuple(points), _descent("step", start, change, found[-1])


def along_noise(
    start: Start, sizes: Sequence[float], *, draws: int, seed: int, progress: Progress = SILENT
) -> tuple[GradientPoint, ...]:
    """Gaussian noise of each relative size, the same draws at every one."""
    drawn: dict[float, list[Moved]] = {size: [] for size in sizes}
    with progress.task("random noise", draws * len(sizes)) as advance:
        for draw in range(draws):
            noise = unit_noise(start.loss.state, tuple(start.gradient), seed=seed + draw)
            for size in sizes:
                drawn[size].append(start.moved(noise, size))
                advance(1)
    return tuple(_of_draws(size, found, start) for size, found in drawn.items())


def along_pair(start: Start, other: State, progress: Progress = SILENT) -> Found:
    """The way from a to b, of which the tensors that move here are moved."""
    change = start.toward(other)
    points, found = list[GradientPoint](), list[Moved]()
    with progress.task("from a to b", len(PLACES)) as advance:
        for t in PLACES:
            found.append(start.moved(change, t))
            points.append(_on_ray("pair", t, found, start))
            advance(1)
    return tuple(points), _descent("pair", start, change, found[-1])


def _on_ray(
    move: Move,
    size: float,
    found: Sequence[Moved],
    start: Start,
    alone: Mapping[str, Quantity] | None = None,
) -> GradientPoint:
    """The last of the moves along one ray; those before it are Lemma 1's samples of the way."""
    last = found[-1]
    rows = tuple(
        TensorGradient(n, m.relative_step, m.gradient_change, None if alone is None else alone[n])
        for n, m in last.tensors.items()
    )
    largest, loss = _largest(last), _number(last.loss)
    pulls = [
        Pull(m.step, m.inner, _most_on_the_way([moved.tensors[n].change for moved in found]))
        for n, m in last.tensors.items()
    ]
    changed = Exact(last.loss - start.value) if isinstance(loss, Exact) else loss
    bound = loss_change_row(pulls, measured=changed, inputs=start.loss.counted)
    trust = _trust([last], start, "known", largest)
    return GradientPoint(move, size, largest, loss, (trust, bound), rows)


def _most_on_the_way(changes: Sequence[float]) -> float:
    """The largest, NaN where one is: max would keep or lose it by its place."""
    return max(changes) if all(map(math.isfinite, changes)) else math.nan


def _of_draws(size: float, found: Sequence[Moved], start: Start) -> GradientPoint:
    rows = tuple(
        TensorGradient(
            name,
            _mean([moved.tensors[name].relative_step for moved in found]),
            _mean([moved.tensors[name].gradient_change for moved in found]),
        )
        for name in start.gradient
    )
    largest = [_largest(moved) for moved in found]
    seen = _most(largest)
    loss = _mean([_number(moved.loss) for moved in found])
    trust = _trust(found, start, "draws", seen)
    return GradientPoint("noise", size, _mean(largest), loss, (trust,), rows)


def _trust(found: Sequence[Moved], start: Start, over: Over, measured: Quantity) -> BoundRow:
    """Deep relative trust of the realised steps, the largest of some draws, beside the gradient."""
    weights = [name for name in start.gradient if start.loss.state[name].ndim >= 2]
    moving = [n for n in weights if any(moved.tensors[n].step for moved in found)]
    steps = [[moved.tensors[n].relative_step for n in moving] for moved in found]
    unknown = [step.reason for row in steps for step in row if isinstance(step, Skipped)]
    assumptions = (MODEL, f"product over {count(len(moving), 'weight')}")
    inputs = start.loss.counted
    if unknown:
        why = Skipped(f"a weight has no relative step: {unknown[0]}")
        row = modelled_row(why, assumptions, over=over, inputs=inputs)
    else:
        total = max(log1p_sum(point(step) or 0.0 for step in row) for row in steps)
        row = trust_of_sum(total, assumptions, over=over, inputs=inputs)
    return replace(row, measured=measured)


def _descent(move: Move, start: Start, change: Change, whole: Moved) -> Descent:
    """Lemma 2 from the angles of a ray, and how far along it the loss was found to fall."""
    motions = {name: motion for name, motion in whole.tensors.items() if motion.step}
    weights = sum(start.loss.state[name].ndim >= 2 for name in motions)
    cosine = _smallest_cosine(motions)
    row = max_relative_step_row(
        cosine,
        weights,
        measured=_falls_until(start, change, motions),
        inputs=start.loss.counted,
    )
    return Descent(move, cosine, (row,))


def _falls_until(start: Start, change: Change, motions: Mapping[str, Motion]) -> Quantity:
    """In relative steps of the tensor that moves most, which is every one down the gradient."""
    if not motions:
        return Skipped("nothing moves")
    sizes = [_relative(start, change, name) for name in motions]
    most = max(sizes)
    if not math.isfinite(most):
        return Skipped("a tensor that moves is zero, or its move is not finite")
    return start.falls_until({name: tensor / most for name, tensor in change.items()})


def _relative(start: Start, change: Change, name: str) -> float:
    """|D|_F / |W|_F of a change at level 1, infinite where that is no number."""
    size, weight = (norm(tensor) for tensor in (change[name], start.loss.state[name]))
    return size / weight if weight and math.isfinite(size) else math.inf


def _smallest_cosine(motions: Mapping[str, Motion]) -> Quantity:
    cosines = [motion.cosine for motion in motions.values()]
    if unknown := [cosine for cosine in cosines if isinstance(cosine, Skipped)]:
        return unknown[0]
    known = [value for cosine in cosines if (value := point(cosine)) is not None]
    return Exact(min(known)) if known else Skipped("nothing moves")


def _largest(moved: Moved) -> Quantity:
    """The largest change of a gradient; tensors whose gradient is zero have none."""
    changes = [motion.gradient_change for motion in moved.tensors.values() if motion.gradient]
    return _most(changes) if changes else Skipped("every gradient is zero")


def _most(values: Sequence[Quantity]) -> Quantity:
    """The largest, unless one of them has no number: it would hide that."""
    if skipped := [value for value in values if isinstance(value, Skipped)]:
        return skipped[0]
    return Exact(max(number for value in values if (number := point(value)) is not None))


def _mean(values: Sequence[Quantity]) -> Quantity:
    """The mean over draws with its standard error, unless one of them has no number."""
    if skipped := [value for value in values if isinstance(value, Skipped)]:
        return skipped[0]
    known = [number for value in values if (number := point(value)) is not None]
    return Estimate(fmean(known), stdev(known) / len(known) ** 0.5)


def _number(loss: float) -> Quantity:
    return Exact(loss) if math.isfinite(loss) else Skipped(_LOSS)


def left_behind(start: Start, a: State, b: State) -> tuple[str, ...]:
    """The tensors that differ in b but do not move on the way to it, so that its end is not b."""
    still = (name for name in a if name not in start.gradient)
    return tuple(name for name in still if not torch.equal(a[name], b[name]))
