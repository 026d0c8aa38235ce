"""Layerwise relative optimisers in torch.optim's conventions."""
