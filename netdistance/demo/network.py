"""The architecture of the demo's network."""

from torch import nn

WIDTH = 64
CLASSES = 3


def build() -> nn.Module:
    """A ReLU network from points of the plane to three spiral arms, two hidden layers of 64."""
    return nn.Sequential(
        nn.Linear(2, WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, WIDTH),
        nn.ReLU(),
        nn.Linear(WIDTH, CLASSES),
    )
