"""The convolutional network of the MNIST and Fashion-MNIST checkpoints that the README compares.

The architecture of the "convex adversarial" models of Wong and Kolter (arXiv 1711.00851):
166 thousand parameters, images of 28 x 28 in [0, 1].
"""

from torch import nn


def build() -> nn.Module:
    """Two strided convolutions and two linear layers, with ReLU between them."""
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
