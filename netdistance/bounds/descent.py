"""What the descent lemmas of deep relative trust say of a step: a model of how far, and a bound.

Bernstein, Vahdat, Yue and Liu 2020, arXiv 2002.03432. With theta_l the angle between the move D_l
of tensor l and -g_l, g_l the gradient of the loss by it, and c_l(t) = |g_l(W + tD) - g_l(W)|_F:

    Lemma 1:  L(W + D) - L(W) <= sum_l |D_l|_F (max_t c_l(t) - |g_l|_F cos theta_l),  0 <= t <= 1
    Lemma 2:  the loss falls where every |D_l|_F / |W_l|_F < (1 + min_l cos theta_l)^(1/L) - 1

The first is a theorem about smooth losses; the second puts deep relative trust in place of the
maximum, so that it is a model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from netdistance.quantities import Estimate, Exact, Quantity, Skipped
from netdistance.report.bound_row import BoundRow
from netdistance.report.wording import count

_MODEL = "Lemma 2 of arXiv 2002.03432: a model, not a bound, as deep relative trust is"
_SAMPLED = (
    "Lemma 1 of arXiv 2002.03432, its maximum over the way taken over the tried sizes up to this "
    "one: a larger change between them would weaken it"
)
_NOT_FINITE = "a move, or a gradient on the way, is not finite"


@dataclass(frozen=True, slots=True)
class Pull:
    """What Lemma 1 needs of one tensor: |D_l|_F, <D_l, g_l>, and the largest c_l(t) that was seen.

    <D_l, g_l> is -|D_l|_F |g_l|_F cos theta_l, and is known where the angle is not.
    """

    step: float
    inner: float
    change: float


def max_relative_step(cosine: Quantity, weights: int) -> Exact | Skipped:
    """Lemma 2 for L weights whose smallest cosine this is.

    >>> round(max_relative_step(Exact(1.0), 2).value, 6)
    0.414214
    """
    if isinstance(cosine, Skipped):
        return cosine
    assert isinstance(cosine, Exact)
    if cosine.value <= 0.0:
        return Skipped(f"a tensor does not move down its gradient (cosine {cosine.value:.3g})")
    if not weights:
        return Skipped("no weight with two or more axes moves")
    return Exact(math.expm1(math.log1p(cosine.value) / weights))


def max_relative_step_row(
    cosine: Quantity, weights: int, *, measured: Quantity, inputs: int
) -> BoundRow:
    """Lemma 2 beside the largest relative step at which the loss was found to be lower."""
    return BoundRow(
        name="max_relative_step",
        standing="modelled",
        over="known",
        inputs=inputs,
        value=max_relative_step(cosine, weights),
        measured=measured,
        assumptions=(_MODEL, f"over {count(weights, 'weight')}"),
    )


def loss_change_row(pulls: Sequence[Pull], *, measured: Quantity, inputs: int) -> BoundRow:
    """Lemma 1 with a sampled maximum, in nats, beside the measured change of the loss."""
    total = sum(pull.inner + pull.step * pull.change for pull in pulls if pull.step)
    known = Estimate(total, 0.0) if math.isfinite(total) else Skipped(_NOT_FINITE)
    return BoundRow(
        name="loss_change",
        standing="estimated",
        over="known",
        inputs=inputs,
        value=known,
        measured=measured,
        assumptions=(_SAMPLED,),
    )
