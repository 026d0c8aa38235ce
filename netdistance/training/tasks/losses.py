"""How outputs are judged: losses, each a mean, and the share of outputs that are right."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F  # noqa: N812  the name that torch's own documents use


def softplus_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean logistic loss log(1 + exp(-y f)) of f (examples, 1) and y = +-1 (examples,).

    Through softplus: torch's soft_margin_loss takes exp first and is infinite at y f < -88, which
    deep networks reach with finite weights.
    """
    return F.softplus(-targets * outputs.squeeze(-1)).mean()


def sign_accuracy(outputs: Tensor, targets: Tensor) -> float:
    """The share of f (examples, 1) with the sign of y = +-1 (examples,)."""
    return float((targets * outputs.squeeze(-1) > 0.0).double().mean())


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean cross entropy in nats of logits (..., classes) and classes (...) from 0 up.

    The mean is over all leading axes: over examples, or over every token of every example.

    >>> import torch
    >>> bool(cross_entropy(torch.zeros(2, 3, 5), torch.zeros(2, 3, dtype=torch.int64)).exp() == 5)
    True
    """
    return F.cross_entropy(outputs.flatten(0, -2), targets.flatten())


def top1_accuracy(outputs: Tensor, targets: Tensor) -> float:
    """The share of logits (..., classes) whose largest is that of the class (...)."""
    return float((outputs.argmax(dim=-1) == targets).double().mean())


def relative_squared_error(outputs: Tensor, targets: Tensor, *, variance: float) -> Tensor:
    """The mean squared error over `variance`, that of the training targets: NRMSE squared.

    1 for a network that always says the training targets' mean. Outputs are (N, 1) for targets
    (N,), and of the targets' shape otherwise.

    >>> import torch
    >>> float(relative_squared_error(torch.tensor([[1.0], [3.0]]), torch.ones(2), variance=4.0))
    0.5
    """
    return (outputs.reshape(targets.shape) - targets).square().mean() / variance


def target_variance(targets: Tensor) -> float:
    """The mean square of targets (N,) or (N, outputs) about the mean of each output."""
    values = targets.double()
    return float((values - values.mean(dim=0)).square().mean())
