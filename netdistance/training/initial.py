"""Layers with their initial weights, drawn from a generator of their own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import torch
from torch import nn

from netdistance.errors import UsageError

RELU_GAIN = 2.0

InitName = Literal["he", "torch"]
Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)

INIT_NAMES: tuple[InitName, ...] = get_args(InitName)


@dataclass(frozen=True, slots=True)
class LayerMaker:
    """Layers in float32 on the CPU. The global generator is not touched.

    `he` draws weights from a Gaussian of variance gain/fan_in: the gain is RELU_GAIN in a layer
    that a ReLU or GELU follows (He et al. 2015, arXiv 1502.01852), 1 in most others. `torch` draws
    them uniform within 1/sqrt(fan_in), as torch.nn does. Biases are that under both, and not zero:
    a zero bias has no scale of its own for a relative step. Embeddings are standard normal under
    both, as in torch.nn.
    """

    generator: torch.Generator
    init: InitName

    @classmethod
    def of(cls, init: str, seed: int) -> LayerMaker:
        """A maker with a generator of that seed.

        Raises:
            UsageError: no initialisation has that name.
        """
        for known in INIT_NAMES:
            if known == init:
                return cls(torch.Generator().manual_seed(seed), known)
        raise UsageError(f"unknown init {init!r}: expected one of {', '.join(INIT_NAMES)}")

    def linear(self, inputs: int, outputs: int, *, gain: float = 1.0) -> nn.Linear:
        """A linear layer of that gain."""
        layer = nn.Linear(inputs, outputs, device="meta", dtype=torch.float32)
        return self._filled(layer, gain=gain)

    def conv3x3(self, inputs: int, outputs: int, *, stride: int) -> nn.Conv2d:
        """A 3 x 3 convolution that a ReLU follows, padded by 1."""
        layer = nn.Conv2d(
            inputs, outputs, 3, stride=stride, padding=1, device="meta", dtype=torch.float32
        )
        return self._filled(layer, gain=RELU_GAIN)

    def embedding(self, count: int, width: int) -> nn.Embedding:
        """A row of standard normal numbers for each of `count` tokens."""
        layer = nn.Embedding(count, width, device="meta", dtype=torch.float32).to_empty(
            device="cpu"
        )
        with torch.no_grad():
            layer.weight.normal_(generator=self.generator)
        return layer

    def _filled(self, layer: Layer, *, gain: float) -> Layer:
        # made without data: torch's own initialisation would draw from the global generator
        layer = layer.to_empty(device="cpu")
        fan_in = layer.weight[0].numel()
        bound = 1.0 / math.sqrt(fan_in)
        assert layer.bias is not None
        with torch.no_grad():
            if self.init == "he":
                layer.weight.normal_(0.0, math.sqrt(gain / fan_in), generator=self.generator)
            else:
                layer.weight.uniform_(-bound, bound, generator=self.generator)
            layer.bias.uniform_(-bound, bound, generator=self.generator)
        return layer
