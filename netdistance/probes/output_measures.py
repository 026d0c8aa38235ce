"""What the outputs of two networks say beside how far they moved: top-1, KL, margins, loss.

Scores are read as (N, T, C): T rows of C class scores for each input. A classifier has one row; a
network that takes tokens and returns (N, T, C) has one for each token.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from netdistance.errors import InputError
from netdistance.networks.batch import Batch
from netdistance.networks.load import Network, State
from netdistance.probes.deviation import (
    IGNORED,
    Reference,
    agreement,
    fraction,
    hits,
    mean_over_inputs,
    quantiles,
    require_classes,
    same_top1,
)
from netdistance.quantities import Estimate, Quantity, Skipped
from netdistance.report.document import DeviationRow

# numbers that are turned into float64 at a time
_BLOCK = 1 << 22


def score_shape(network: Network, state: State, inputs: Batch) -> tuple[int, int] | Skipped:
    """(T, C) of the scores of one input, or why its output is none, by running the first input.

    One row where the output has one axis that is longer than 1; a row a token where the inputs are
    whole numbers and the output is (N, T, C).
    """
    with torch.inference_mode():
        shape = tuple(network(state, inputs[:1].to(network.device)).shape[1:])
    named = {"": inputs} if isinstance(inputs, Tensor) else inputs.tensors
    tokens = not any(t.is_floating_point() for n, t in named.items() if n != "attention_mask")
    if len(shape) == 2 and tokens and shape[1] > 1:
        return shape[0], shape[1]
    if math.prod(shape) == 1:
        return Skipped("the network has one output: there is no top-1 class")
    if sum(size != 1 for size in shape) == 1:
        return 1, math.prod(shape)
    sizes = " x ".join(map(str, shape))
    return Skipped(f"an output of shape {sizes} is not one row of class scores")


def require_one_label(shape: tuple[int, int] | Skipped, targets: Tensor, name: str) -> None:
    """Check that an output is one row of scores, for one label; `name` is the network's.

    Raises:
        InputError: it is not.
    """
    rows = None if isinstance(shape, Skipped) else shape[0]
    if isinstance(shape, Skipped) or rows != 1 or targets.ndim != 1:
        found = shape.reason if isinstance(shape, Skipped) else f"{rows} rows of scores an input"
        raise InputError(
            f"{name}: {found}; --targets need one row of scores and one label for an input "
            "(compare takes those of tokens)"
        )


def deviation_rows(
    reference: Reference,
    outputs: Tensor,
    targets: Tensor | None,
    shape: tuple[int, int] | Skipped,
    positions: Tensor | None = None,
) -> tuple[DeviationRow, ...]:
    """What b's outputs (N, outputs) do against a's: deviation, agreement, KL, margins.

    With targets, (N,) or a label for each token (N, T), both accuracies and losses too. Where there
    is a row for each of `positions`, (N, T) bool, only those that are true count.

    Raises:
        InputError: the targets do not fit the outputs.
    """
    deviation = reference.deviation(outputs)
    worst = _worst(deviation)
    rows = [
        DeviationRow(
            "relative_output_deviation", mean_over_inputs(deviation), quantiles(deviation), worst
        )
    ]
    if isinstance(shape, Skipped):
        return (*rows, *_without_scores(shape, targets is not None))
    a, b = (values.view(len(values), *shape) for values in (reference.outputs, outputs))
    counted = torch.ones(a.shape[:2], dtype=torch.bool)
    if positions is not None and positions.shape == counted.shape:
        counted = positions.cpu()
    rows += _rows_without_targets(a, b, counted)
    if targets is not None:
        rows += _rows_with_targets(a, b, _fitted(targets, a).where(counted, IGNORED))
    return tuple(rows)


def _without_scores(why: Skipped, with_targets: bool) -> list[DeviationRow]:
    names = ["top1_agreement", "kl_divergence", "logit_margin_a", "logit_margin_b"]
    if with_targets:
        if why.reason.startswith("the network has one output"):
            raise InputError("--targets: the network has one output, and labels need two or more")
        names += ["accuracy_a", "accuracy_b", "loss_a", "loss_b"]
    return [DeviationRow(name, why) for name in names]


def _rows_without_targets(a: Tensor, b: Tensor, counted: Tensor) -> list[DeviationRow]:
    """Agreement, KL and margins of scores (N, T, C), of the rows that count, (N, T)."""
    tokens = a.shape[1] > 1
    same = _mean(same_top1(a, b).double().cpu(), counted)
    divergence = _in_blocks(kl_divergence, a, b)
    by_input = divergence.where(counted, 0.0).sum(1) / counted.sum(1)
    rows = [
        DeviationRow("top1_agreement", same if tokens else agreement(a[:, 0], b[:, 0])),
        DeviationRow(
            "kl_divergence",
            _mean(divergence, counted),
            quantiles(divergence[counted]),
            _worst(by_input),
        ),
    ]
    for side, scores in (("a", a), ("b", b)):
        margin = _in_blocks(margins, scores)
        rows.append(
            DeviationRow(f"logit_margin_{side}", _mean(margin, counted), quantiles(margin[counted]))
        )
    return rows


def _rows_with_targets(a: Tensor, b: Tensor, targets: Tensor) -> list[DeviationRow]:
    """Accuracy, loss and, for tokens, perplexity of both against labels (N, T)."""
    require_classes(targets, a.flatten(0, 1))
    counted = targets != IGNORED
    accuracies, losses, perplexities = [], [], []
    for side, scores in (("a", a), ("b", b)):
        right = hits(scores, targets)
        one = scores.shape[1] == 1
        accuracy = fraction(right[counted]) if one else _mean(right.double(), counted)
        loss = _mean(_in_blocks(cross_entropy, scores, targets.clamp_min(0)), counted)
        accuracies.append(DeviationRow(f"accuracy_{side}", accuracy))
        losses.append(DeviationRow(f"loss_{side}", loss))
        perplexities.append(DeviationRow(f"perplexity_{side}", perplexity(loss)))
    return [*accuracies, *losses, *(perplexities if a.shape[1] > 1 else [])]


def kl_divergence(a: Tensor, b: Tensor) -> Tensor:
    """KL(softmax a || softmax b) in nats over the last axis, in float64.

    sum_c p_c (log p_c - log q_c); 0 where p_c is 0, infinite where q_c alone is.
    """
    log_p, log_q = a.double().log_softmax(-1), b.double().log_softmax(-1)
    p = log_p.exp()
    terms = torch.where(p == 0.0, torch.zeros_like(p), p * (log_p - log_q))
    # the sum of rounded terms may lie below zero by some 1e-17
    return terms.sum(-1).clamp_min(0.0)


def margins(scores: Tensor) -> Tensor:
    """The largest score minus the second, over the last axis, in float64 and the scores' unit."""
    first, second = scores.double().topk(2, dim=-1).values.unbind(-1)
    return first - second


def cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    """-log softmax(scores) at the target, in nats and float64; scores (..., C), targets (...)."""
    log_p = scores.double().log_softmax(-1)
    return -log_p.gather(-1, targets.to(scores.device).unsqueeze(-1)).squeeze(-1)


def perplexity(loss: Quantity) -> Quantity:
    """exp(loss), its standard error to first order."""
    if not isinstance(loss, Estimate):
        return loss
    try:
        value = math.exp(loss.value)
    except OverflowError:
        return Skipped(f"overflows float64: the loss is {loss.value:.6g} nats")
    return Estimate(value, value * loss.stderr)


def _fitted(targets: Tensor, scores: Tensor) -> Tensor:
    """The targets as (N, T)."""
    rows = scores.shape[:2]
    shaped = targets.unsqueeze(1) if targets.ndim == 1 else targets
    if shaped.shape != rows:
        found, expected = (" x ".join(map(str, s)) for s in (targets.shape, rows))
        raise InputError(f"--targets: {found} labels, expected {expected}, one per token")
    return shaped.cpu()


def _in_blocks(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """A function of rows of scores, applied to a few inputs at a time; on the CPU."""
    size = max(1, _BLOCK // math.prod(tensors[0].shape[1:]))
    starts = range(0, len(tensors[0]), size)
    return torch.cat([function(*(t[at : at + size] for t in tensors)).cpu() for at in starts])


def _mean(values: Tensor, counted: Tensor) -> Quantity:
    """The mean of (N, T) values over the rows that count; its standard error is over inputs.

    Rows of one input depend on each other, so an input is one draw: with c_i rows that sum to s_i,
    the mean is r = sum s / sum c, and its error that of the residuals s_i - r c_i over mean c.
    """
    if bool(counted.all()):
        return mean_over_inputs(values.mean(1))
    sums = torch.where(counted, values, torch.zeros_like(values)).sum(1)
    if not bool(torch.isfinite(sums).all()):
        return Skipped(f"{int((~torch.isfinite(sums)).sum())} of {len(sums)} inputs are not finite")
    counts = counted.sum(1).double()
    inputs = int((counts > 0).sum())
    mean = float(sums.sum() / counts.sum())
    residuals = (sums - mean * counts)[counts > 0]
    spread = float((residuals.square().sum() / (inputs - 1)).sqrt()) if inputs > 1 else 0.0
    return Estimate(mean, spread / inputs**0.5 / float(counts.sum() / inputs))


def _worst(values: Tensor) -> int | None:
    """The place of the largest of (N,), the first of equal ones; None where none is defined."""
    known = torch.where(torch.isnan(values), -torch.inf, values)
    return int(known.argmax()) if bool((known > 0.0).any()) else None
