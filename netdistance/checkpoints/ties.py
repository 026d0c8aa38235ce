"""Tensors that share elements in memory: each element counts once in totals."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Place:
    """Where the elements of a tensor are among those of its holder.

    `layout` has the axes of both and the offset between them, in elements: two tensors of equal
    place have the same elements in the same order, and one that has its place in the same holder in
    two files is made of that holder's elements in the same way.
    """

    holder: Hashable
    layout: Hashable


Ties = Mapping[str, Place]
NO_TIES: Ties = MappingProxyType({})


def place_of(ties: Ties, name: str) -> Place:
    """The place of a tensor, in itself where it shares nothing."""
    return ties[name] if name in ties else Place(name, None)


@dataclass(frozen=True, slots=True)
class View:
    """Where the elements of a tensor are: strides and item size in bytes, as numpy's.

    Addresses are of a `memory`, such as a device; `kind` is the type, which tied tensors share.
    """

    name: str
    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    item: int
    kind: Hashable = None
    memory: Hashable = None
    size: int = field(init=False)  # elements
    span: tuple[int, int] = field(init=False)  # its first byte, and the byte after its last

    def __post_init__(self) -> None:
        steps = [(n - 1) * step for n, step in zip(self.shape, self.strides, strict=True)]
        begin = self.address + sum(step for step in steps if step < 0)
        object.__setattr__(self, "size", math.prod(self.shape))
        object.__setattr__(self, "span", (begin, begin + sum(map(abs, steps)) + self.item))

    @classmethod
    def of_array(cls, name: str, array: NDArray[np.generic]) -> View:
        """The view that a numpy array is."""
        address = array.__array_interface__["data"][0]
        return cls(name, address, array.shape, array.strides, array.itemsize, array.dtype)

    @property
    def is_dense(self) -> bool:
        """Whether it has every element of its span, and each once."""
        if self.span[1] - self.span[0] != self.size * self.item:
            return False
        axes = zip(self.shape, self.strides, strict=True)
        step = self.item
        for stride, n in sorted((abs(stride), n) for n, stride in axes if n > 1):
            if stride != step:
                return False
            step *= n
        return True

    def place_in(self, holder: View) -> Place:
        """Its place in a view that has all of its elements."""
        axes = (tuple(s / v.item for s in v.strides) for v in (self, holder))
        offset = (self.address - holder.address) / self.item
        return Place(holder.name, (offset, self.shape, holder.shape, *axes))


def ties_of(views: Sequence[View]) -> dict[str, Place]:
    """The places of the tensors that share elements, their holders' included.

    A holder is the largest dense tensor that has all elements of another, turned or in part, or the
    first of those that are the same view. A matrix is held by matrices only, so that it counts as
    a weight where weights are counted.
    """
    classes: dict[Hashable, list[View]] = defaultdict(list)
    for view in views:
        # nothing has no elements to share, and half an element is not another's
        if view.size and not any(step % view.item for step in view.strides):
            start = view.address % view.item
            classes[len(view.shape) >= 2, view.kind, view.memory, start].append(view)
    places: dict[str, Place] = {}
    for alike in classes.values():
        for view, holder in _held(alike):
            places[view.name] = view.place_in(holder)
            places[holder.name] = holder.place_in(holder)
    return places


def _held(views: Sequence[View]) -> Iterator[tuple[View, View]]:
    """Views with the holder of each."""
    ordered = sorted(views, key=lambda view: (view.span[0], -view.span[1]))
    holder: View | None = None
    for span, equal in itertools.groupby(ordered, key=lambda view: view.span):
        rest = list(equal)
        if holder is None or span[1] > holder.span[1]:
            dense = next((view for view in rest if view.is_dense), None)
            holder = dense or holder
        if holder is not None and span[1] <= holder.span[1]:
            yield from ((view, holder) for view in rest if view is not holder)
        else:
            yield from _same(rest)


def _same(views: Sequence[View]) -> Iterator[tuple[View, View]]:
    """Views that are no part of a dense one, with the first of the same axes."""
    first: dict[Hashable, View] = {}
    for view in views:
        earlier = first.setdefault((view.address, view.shape, view.strides), view)
        if earlier is not view:
            yield view, earlier


def overlap_note(views: Sequence[View], ties: Ties) -> tuple[str, ...]:
    """A note where tensors that are not tied share bytes: each of them counts as its own."""
    spans: dict[Hashable, list[tuple[tuple[int, int], str]]] = defaultdict(list)
    for view in views:
        if view.size and place_of(ties, view.name).holder == view.name:
            spans[view.memory].append((view.span, view.name))
    shared = [
        (x, y)
        for found in spans.values()
        for (before, x), (after, y) in pairwise(sorted(found))
        if after[0] < before[1]
    ]
    if not shared:
        return ()
    first, second = sorted(shared[0])
    return (f"{len(shared)} overlap others in storage, as {first!r} and {second!r}; each counts",)
