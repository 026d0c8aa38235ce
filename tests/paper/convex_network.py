"""The architecture of mnist_convex_adversarial.pth and fashion_convex_adversarial.pth.

Wong and Kolter 2018 (arXiv 1711.00851), locuslab/convex_adversarial: two strided convolutions and
two linear layers on 28 x 28 images.
"""

from __future__ import annotations

from torch import nn


def build() -> nn.Module:
    """Conv 1-16 and 16-32, 4 x 4 with stride 2 and padding 1, then Linear 1568-100-10."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(1568, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )
