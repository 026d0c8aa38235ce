"""Models that the command line is given by name."""

from __future__ import annotations

from torch import nn


def softmax() -> nn.Module:
    """The demo's network, with a softmax that no certificate covers."""
    return nn.Sequential(
        nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3), nn.Softmax(1)
    )


def narrow() -> nn.Module:
    """The demo's network with another width."""
    return nn.Sequential(
        nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3)
    )


def shallow() -> nn.Module:
    """Other names than the demo's network."""
    return nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 3))
