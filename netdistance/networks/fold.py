"""Batch norm taken into the layer before it: the same function, with one operator instead of two.

An eval batch norm is y = s z + t for each channel, with s = g / sqrt(v + eps) and t = b - s m, so
that after z = W h + c it is (s W) h + (s c + t). Folded, a batch norm that only rescales what the
layer scaled before is no change, and its factor enters the norm of the whole operator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netdistance.networks.graph import Graph
from netdistance.networks.load import State

# of a folded weight or offset: each is the result of seven roundings of 1.1e-16
FOLDED_ROUNDING = 1e-15
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True, slots=True)
class Fold:
    """A layer and the batch norm that alone reads it: their names, and the eps of the latter."""

    layer: str
    norm: str
    eps: float


def _folds(graph: Graph, ties: Mapping[str, str]) -> Iterator[Fold]:
    """Every batch norm that can be folded: it and its layer run once, with tensors of their own.

    `ties` maps every name to the first of its tensor.
    """
    called = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    read = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    names = Counter(ties.values())
    shared = {name.rpartition(".")[0] for name, first in ties.items() if names[first] > 1}
    shared |= {name.rpartition(".")[0] for name in read}
    for node in graph.nodes:
        readers = list(node.users)
        if len(readers) != 1 or not node.op == readers[0].op == "call_module":
            continue
        layer, norm = str(node.target), str(readers[0].target)
        own = called[layer] == called[norm] == 1 and not {layer, norm} & shared
        modules = [graph.module.get_submodule(name) for name in (layer, norm)]
        if own and _fits(*modules):
            yield Fold(layer, norm, float(modules[1].eps))  # type: ignore[arg-type]


def _fits(layer: nn.Module, norm: nn.Module) -> bool:
    if type(layer) not in _LAYERS or type(norm) not in _NORMS or norm.training:
        return False
    channels = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    return norm.running_var is not None and channels == norm.num_features


def folded(graph: Graph, ties: Mapping[str, str], state: State) -> dict[str, Tensor]:
    """The state, float64, of the same function with every fold made; the batch norms stay.

    They are left with a factor of 1, and with the offset where the layer has no bias to hold it. A
    batch norm with a variance that is not above -eps is left as it is.
    """
    result = dict(state)
    for fold in _folds(graph, ties):
        mean, variance = (state[f"{fold.norm}.running_{part}"] for part in ("mean", "var"))
        if not bool((variance + fold.eps > 0).all()):
            continue
        gain, offset = (state.get(f"{fold.norm}.{part}") for part in ("weight", "bias"))
        scale = 1.0 / torch.sqrt(variance + fold.eps)
        scale = scale if gain is None else scale * gain
        offset = -scale * mean if offset is None else offset - scale * mean
        weight, bias = state[f"{fold.layer}.weight"], state.get(f"{fold.layer}.bias")
        result[f"{fold.layer}.weight"] = scale.view(-1, *[1] * (weight.ndim - 1)) * weight
        if bias is not None:
            result[f"{fold.layer}.bias"], offset = scale * bias + offset, torch.zeros_like(offset)
        result |= {
            f"{fold.norm}.running_mean": -offset,
            f"{fold.norm}.running_var": torch.full_like(variance, 1.0 - fold.eps),
        }
        if gain is not None:
            result[f"{fold.norm}.weight"] = torch.ones_like(gain)
            result[f"{fold.norm}.bias"] = torch.zeros_like(offset)
    return result
