"""Loss and gradients of a linear network W2 W1 by hand, without automatic differentiation.

The mean over columns x_i of -log softmax(W2 W1 x_i) at label y_i has, with P - Y the matrix of
softmax minus one-hot labels and Z = (P - Y) / N, the gradients Z (W1 X)' and W2' Z X'.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def loss_and_gradients(
    first: Matrix, second: Matrix, x: Matrix, labels: NDArray[np.int64]
) -> tuple[float, Matrix, Matrix]:
    """The mean loss in nats and its gradients by both weights; x is (N, in), labels (N,)."""
    hidden = first @ x.T
    scores = second @ hidden
    scores = scores - scores.max(axis=0)
    logs = scores - np.log(np.exp(scores).sum(axis=0))
    places = np.arange(len(labels))
    wrong = np.exp(logs)
    wrong[labels, places] -= 1.0
    wrong /= len(labels)
    loss = -float(logs[labels, places].mean())
    return loss, second.T @ wrong @ x, wrong @ hidden.T
