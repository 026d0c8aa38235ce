"""The layers that a scheme compresses: their weights, each once, under all of its names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netdistance.checkpoints.base import Checkpoint, TensorSpec
from netdistance.checkpoints.ties import place_of
from netdistance.pairing.layers import layer_of
from netdistance.pairing.match import natural_key


@dataclass(frozen=True, slots=True)
class Weight:
    """A tensor of floating point with two or more axes, and every name that it has."""

    spec: TensorSpec
    names: tuple[str, ...]

    @property
    def held(self) -> int:
        """How many bits a number of it takes now, all that is stored for it counted."""
        return round(8 * self.spec.nbytes / self.spec.elements)


@dataclass(frozen=True, slots=True)
class Layer:
    """Weights that are compressed together: those of one module."""

    name: str
    weights: tuple[Weight, ...]

    @property
    def elements(self) -> int:
        """How many numbers its weights hold."""
        return sum(weight.spec.elements for weight in self.weights)

    @property
    def bits(self) -> int:
        """How many bits its weights take now."""
        return sum(weight.held * weight.spec.elements for weight in self.weights)


def layers_to_compress(
    checkpoint: Checkpoint, first: Mapping[str, str] | None = None
) -> tuple[Layer, ...]:
    """The layers in natural order; what cannot be read, is empty or has one axis is in none.

    `first` maps every name of a tensor that a network holds under several to one of them; a file
    that knows which of its tensors share memory says so itself.
    """
    names: dict[object, list[str]] = {}
    for name in sorted(checkpoint.specs, key=natural_key):
        spec = checkpoint.specs[name]
        if not (spec.is_weight and spec.elements) or spec.unreadable is not None:
            continue
        place = place_of(checkpoint.ties, name)
        same = (place.holder, place.layout)
        names.setdefault(first[name] if first and name in first else same, []).append(name)
    layers: dict[str, list[Weight]] = {}
    for tied in names.values():
        weight = Weight(checkpoint.specs[tied[0]], tuple(tied))
        layers.setdefault(layer_of(tied[0]), []).append(weight)
    return tuple(Layer(name, tuple(weights)) for name, weights in layers.items())


def total_elements(layers: tuple[Layer, ...]) -> int:
    """How many numbers the weights of all layers hold."""
    return sum(layer.elements for layer in layers)
