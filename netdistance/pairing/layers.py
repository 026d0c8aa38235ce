"""Tensors to layers: the weight, bias and gain of one module belong together."""

from __future__ import annotations


def layer_of(name: str) -> str:
    """The module that a tensor belongs to: its name without the last part.

    >>> layer_of("encoder.layer.0.output.dense.weight"), layer_of("weight")
    ('encoder.layer.0.output.dense', 'weight')
    """
    module, dot, _ = name.rpartition(".")
    return module if dot and module else name
