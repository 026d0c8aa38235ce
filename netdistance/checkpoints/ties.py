"""Tensors that share elements in memory: each element counts once in totals."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class View:
    """Where the elements of a tensor are: strides and item size in bytes, as numpy's.

    `kind` tells apart what is never tied: another device, another type, a conjugate.
    """

    name: str
    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    item: int
    kind: Hashable = None

    @classmethod
    def of_array(cls, name: str, array: NDArray[np.generic]) -> View:
        """The view that a numpy array is."""
        address = array.__array_interface__["data"][0]
        return cls(name, address, array.shape, array.strides, array.itemsize, array.dtype)

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def _axes(self) -> tuple[tuple[int, int], ...]:
        """The axes that have a length, by stride: a transposed view has the same."""
        axes = zip(self.shape, self.strides, strict=True)
        return tuple(sorted((abs(step), n) for n, step in axes if n > 1))

    @property
    def span(self) -> tuple[int, int]:
        """The addresses of its first byte and of the byte after its last."""
        steps = [(n - 1) * step for n, step in zip(self.shape, self.strides, strict=True)]
        begin = self.address + sum(step for step in steps if step < 0)
        return begin, begin + sum(map(abs, steps)) + self.item

    @property
    def is_dense(self) -> bool:
        """Whether it has every element of its span, and each once."""
        dense = itertools.accumulate((n for _, n in self._axes), operator.mul, initial=self.item)
        return all(step == expected for (step, _), expected in zip(self._axes, dense, strict=False))

    @property
    def elements(self) -> Hashable:
        """Equal for two views of the same elements, however they are turned."""
        return self.kind, self.item, self.span, None if self.is_dense else self._axes


def ties_of(views: Sequence[View]) -> dict[str, str]:
    """From a name to that of the tensor that has all of its elements, and perhaps more.

    It is the first of those that have the same, or the largest that has them among others. A
    matrix is tied to matrices only, so that it counts as a weight where weights are counted.
    """
    ties: dict[str, str] = {}
    first: dict[Hashable, View] = {}
    for view in views:
        # nothing has no elements to share
        if view.size:
            earlier = first.setdefault((_class_of(view), view.elements), view)
            ties[view.name] = earlier.name
    holders = {view.name: holder.name for view, holder in _held(list(first.values()))}
    found = {name: holders.get(earlier, earlier) for name, earlier in ties.items()}
    return {name: holder for name, holder in found.items() if holder != name}


def _held(views: Sequence[View]) -> Iterator[tuple[View, View]]:
    """Views with the dense view that has all of their elements and more."""
    ordered = sorted(views, key=lambda view: (str(_class_of(view)), view.span[0], -view.span[1]))
    for _, alike in itertools.groupby(ordered, key=_class_of):
        holder = None
        for view in alike:
            if holder is not None and view.span[1] <= holder.span[1]:
                yield view, holder
            elif view.is_dense:
                holder = view


def _class_of(view: View) -> Hashable:
    return len(view.shape) >= 2, view.kind


def overlap_note(views: Sequence[View], ties: dict[str, str]) -> tuple[str, ...]:
    """A note where tensors that are not tied share bytes: each of them counts as its own."""
    own = [view for view in views if view.name not in ties and view.size]
    own.sort(key=lambda view: (view.span, view.name))
    shared = [(x.name, y.name) for x, y in pairwise(own) if y.span[0] < x.span[1]]
    if not shared:
        return ()
    first, second = sorted(shared[0])
    return (f"{len(shared)} overlap others in storage, as {first!r} and {second!r}; each counts",)
