"""Conversions of a tensor into another: new names, turned, rows permuted, shifted, left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

from netdistance.checkpoints.base import Checkpoint, TensorSpec
from netdistance.pairing.conversions.base import (
    Candidate,
    Conversion,
    Match,
    Reading,
    Situation,
    Target,
)
from netdistance.pairing.conversions.layouts import HeadOrder, head_orders
from netdistance.pairing.conversions.matrices import Gathered, Shifted, Stored, Turned, one_part
from netdistance.pairing.conversions.modules import Indices, Layers, shape_of

# one tensor of b as one of a: the tensor of b, the kind of it, and whether it has a's name
_Read = Callable[[TensorSpec, str], Reading]
# rotary embeddings turn queries and keys: q_proj, wk, attn_q, query, to_k
_TURNED = re.compile(r"(^|[._])(w?[qk]|query|key)([._]|proj|lin|$)")
_NORMS = ("norm", "ln", "layernorm", "rms")
_EMBEDDINGS = ("emb", "wte", "tok")


def as_it_lies(target: Target, pattern: str, layers: Layers, b: Checkpoint) -> Candidate:
    """The candidate that reads another module of b as it lies."""

    def read(spec: TensorSpec, kind: str) -> Reading:
        return Reading(Match("renamed"), Stored.of(b, spec), plain=spec.name)

    return _candidate("renamed", target, pattern, layers, read, "")


def is_embedding(pattern: str) -> bool:
    """Whether a module's name is one of an embedding of tokens."""
    return any(word in pattern.lower() for word in _EMBEDDINGS)


def _renamed(target: Target, situation: Situation) -> Iterator[Candidate]:
    for pattern, layers in situation.sources(target):
        if shape_of(layers) == shape_of(target.layers):
            yield as_it_lies(target, pattern, layers, situation.b)


def _transposed(target: Target, situation: Situation) -> Iterator[Candidate]:
    def read(spec: TensorSpec, kind: str) -> Reading:
        matrix = situation.stored(spec)
        if kind != "weight":
            return Reading(Match("transformed", "bias of a transposed weight"), matrix, spec.name)
        return Reading(Match("transformed", "transposed"), Turned(matrix))

    shape = shape_of(target.layers)
    for pattern, layers in situation.sources(target):
        if len(shape) == 2 and shape_of(layers) == shape[::-1]:
            yield _candidate("transposed", target, pattern, layers, read, "transposed")


def _rotary(target: Target, situation: Situation) -> Iterator[Candidate]:
    shape = shape_of(target.layers)
    for pattern, layers in situation.sources(target):
        is_turned = any(_TURNED.search(name) for name in (target.pattern, pattern))
        if is_turned and len(shape) == 2 and shape_of(layers) == shape:
            for order in head_orders(shape[0]):
                read = partial(_permuted, situation, order)
                label = f"rotary permutation, {order.heads:,} heads"
                yield _candidate("rotary", target, pattern, layers, read, label, order)


def _permuted(situation: Situation, order: HeadOrder, spec: TensorSpec, kind: str) -> Reading:
    matrix, stored = situation.stored(spec), "pairs" if order.halves else "halves"
    what = f"rotary permutation, {order.heads:,} heads stored in {stored}"
    rows = spec.shape[0]
    return Reading(Match("transformed", what), Gathered((matrix,), rows, one_part(order.row)))


def _norm_plus_one(target: Target, situation: Situation) -> Iterator[Candidate]:
    shape = shape_of(target.layers)
    for pattern, layers in situation.sources(target):
        words = (target.pattern + "." + pattern).lower()
        is_norm = len(shape) == 1 and any(word in words for word in _NORMS)
        if is_norm and shape_of(layers) == shape:
            for by, what in ((-1.0, "stored as w + 1"), (1.0, "stored as w - 1")):
                read = partial(_shifted, situation, by, what)
                yield _candidate("norm plus one", target, pattern, layers, read, what, by)


def _shifted(situation: Situation, by: float, what: str, spec: TensorSpec, kind: str) -> Reading:
    matrix = situation.stored(spec)
    if kind != "weight":
        return Reading(Match("transformed", f"bias of a weight {what}"), matrix, spec.name)
    return Reading(Match("transformed", what), Shifted(matrix, by))


def _tied(target: Target, situation: Situation) -> Iterator[Candidate]:
    shape = shape_of(target.layers)
    for pattern, layers in situation.paired.items():
        if is_embedding(pattern) and len(shape) == 2 and shape_of(layers) == shape:
            yield as_it_lies(target, pattern, layers, situation.b)


def _candidate(
    conversion: str,
    target: Target,
    pattern: str,
    layers: Layers,
    read: _Read,
    how: str,
    detail: object = None,
) -> Candidate:
    """The candidate that reads each tensor of a module from the one of the same kind of another."""
    same = pattern == target.pattern

    def at(indices: Indices, kind: str) -> Reading | None:
        spec = layers.get(indices, {}).get(kind)
        own = target.layers[indices][kind]
        if spec is None:
            return None
        reading = read(spec, kind)
        return reading if _fits(reading, own) else None

    label = ", ".join(part for part in (pattern, how) if part)
    return Candidate(conversion, label, (conversion, pattern, detail), at, same)


def _fits(reading: Reading, own: TensorSpec) -> bool:
    """Whether the reading has the shape of a's tensor, as a matrix."""
    rows, columns = reading.matrix.shape
    return rows * columns == own.elements and (len(own.shape) < 2 or columns == own.shape[-1])


RENAMED = Conversion("renamed", "every converter's table of names", _renamed)
TRANSPOSED = Conversion("transposed", "transformers.pytorch_utils.Conv1D (GPT-2)", _transposed)
ROTARY = Conversion("rotary", "llama.cpp convert_hf_to_gguf.py, LlamaModel.permute", _rotary)
NORM_PLUS_ONE = Conversion(
    "norm plus one", "llama.cpp convert_hf_to_gguf.py, GemmaModel", _norm_plus_one
)
TIED_HEAD = Conversion("tied head", "transformers' tie_word_embeddings", _tied)
