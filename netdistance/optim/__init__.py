"""Layerwise relative optimisers in torch.optim's conventions, and a monitor of relative steps."""

from netdistance.optim.fromage import Fromage
from netdistance.optim.lamb import LAMB
from netdistance.optim.lars import LARS
from netdistance.optim.monitor import RelativeStepMonitor

__all__ = ["LAMB", "LARS", "Fromage", "RelativeStepMonitor"]
