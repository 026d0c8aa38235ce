"""Layerwise relative optimisers in torch.optim's conventions."""

from netdistance.optim.fromage import Fromage

__all__ = ["Fromage"]
