"""The tensors of a file by what repeats: one pattern for the same module of every layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from netdistance.checkpoints.base import TensorSpec
from netdistance.checkpoints.dtypes import BY_NAME

# the numbers in a name, such as ("3",) in layers.3.fc
Indices = tuple[str, ...]
# a module's tensors by kind, "weight" or "bias", for every layer that has it
Layers = dict[Indices, dict[str, TensorSpec]]
Modules = dict[str, Layers]

KINDS = ("weight", "bias")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor is: the pattern of its module, which of them, and which tensor of it."""

    pattern: str
    indices: Indices
    kind: str

    @classmethod
    def of(cls, name: str) -> Place:
        """The place that a name says.

        >>> Place.of("h.3.attn.c_attn.bias")
        Place(pattern='h.*.attn.c_attn', indices=('3',), kind='bias')
        >>> Place.of("attn.in_proj_weight").pattern, Place.of("experts.gate_up_proj").kind
        ('attn.in_proj', 'weight')
        """
        module, kind = name, "weight"
        for end in KINDS:
            for joint in (".", "_"):
                if name.endswith(joint + end):
                    module, kind = name[: -len(end) - 1], end
        parts = module.split(".")
        indices = tuple(part for part in parts if part.isdigit())
        return cls(".".join("*" if p.isdigit() else p for p in parts), indices, kind)


def modules_of(named: Iterable[tuple[str, TensorSpec]]) -> Modules:
    """The modules of these tensors, floating point and readable ones only."""
    modules: Modules = {}
    for name, spec in named:
        if is_telling(spec):
            at = Place.of(name)
            tensors = modules.setdefault(at.pattern, {}).setdefault(at.indices, {})
            tensors.setdefault(at.kind, spec)
    return modules


def is_telling(spec: TensorSpec) -> bool:
    """Whether its numbers can be read in any order and compared: real, of whole bytes, and some."""
    known = BY_NAME.get(spec.values or spec.encoding)
    readable = spec.unreadable is None and known is not None and known.decode is not None
    if not readable or known is None or known.kind != "float" or known.bits < 8:
        return False
    return bool(spec.shape) and spec.elements > 0


def parent_of(pattern: str) -> str:
    """The module that a module is in."""
    return pattern.rpartition(".")[0]


def shape_of(layers: Layers, kind: str = "weight") -> tuple[int, ...]:
    """The shape of this tensor in the first layer that has it, () where none has."""
    return next((tensors[kind].shape for tensors in layers.values() if kind in tensors), ())


def spread(layers: Mapping[Indices, object], most: int) -> list[Indices]:
    """At most so many of the layers, from the first to the last."""
    names = list(layers)
    step = max(1, -(-len(names) // most))
    return names[::step]
