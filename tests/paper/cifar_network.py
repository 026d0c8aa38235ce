"""The architecture of cifar_cnn_a_adv.model and cifar_cnn_a_mix.model.

Dathathri et al. 2020 (arXiv 2010.11645), CNN-A: two strided convolutions and two linear layers on
32 x 32 colour images.
"""

from __future__ import annotations

from torch import nn


def build() -> nn.Module:
    """Conv 3-16 and 16-32, 4 x 4 with stride 2 and padding 1, then Linear 2048-100-10."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2048, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )
