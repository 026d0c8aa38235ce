"""scikit-learn's handwritten digits: 1,797 images of 8 x 8 that come with the package."""

from __future__ import annotations

from typing import Any

import torch

from netdistance.errors import UsageError
from netdistance.training.tasks.losses import cross_entropy, top1_accuracy
from netdistance.training.tasks.task import Task

TRAINED_ON = 1_437  # four fifths; the other 360 are for testing
_SPLIT_SEED = 0


def digits() -> Task:
    """Images (N, 1, 8, 8) of pixels 0 to 16, over 16, and their digits: 1,437 to train.

    The data are the test part of UCI's "Optical Recognition of Handwritten Digits" (Alpaydin and
    Kaynak 1998), as sklearn.datasets.load_digits gives them, shuffled once with a fixed seed.

    Raises:
        UsageError: scikit-learn is not installed.
    """
    data = _load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(_SPLIT_SEED))
    images = torch.from_numpy(data.images).float()[order, None] / 16.0
    labels = torch.from_numpy(data.target).long()[order]
    return Task(
        name="digits",
        train_inputs=images[:TRAINED_ON],
        train_targets=labels[:TRAINED_ON],
        test_inputs=images[TRAINED_ON:],
        test_targets=labels[TRAINED_ON:],
        outputs=10,
        loss=cross_entropy,
        accuracy=top1_accuracy,
    )


def _load_digits() -> Any:
    try:
        from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # it has no types
    except ImportError as error:
        raise UsageError(
            "task digits needs scikit-learn: pip install 'netdistance[digits]'"
        ) from error
    return load_digits()
