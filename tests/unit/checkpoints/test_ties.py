"""Which tensors share elements, against the sets of the elements themselves."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netdistance.checkpoints.ties import Ties, View, overlap_note, place_of, ties_of
from netdistance.checkpoints.torch_pickle import views_of

SIZE = 24


@st.composite
def views(draw: st.DrawFn) -> View:
    """A view into a buffer of SIZE elements of 4 bytes, at address 1000."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    strides = tuple(draw(st.sampled_from([0, 1, 2, 3, 4, 6, 8, 12])) for _ in shape)
    last = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    begin = draw(st.integers(0, SIZE)) % max(SIZE - last, 1)
    return View("", 1000 + 4 * begin, shape, tuple(4 * step for step in strides), 4)


def places(view: View) -> list[int]:
    """The address of each element, in the order of the tensor."""
    steps = (range(n) for n in view.shape)
    return [
        view.address + sum(i * step for i, step in zip(at, view.strides, strict=True))
        for at in product(*steps)
    ]


def named(found: list[View]) -> list[View]:
    return [replace(view, name=f"{index}") for index, view in enumerate(found)]


def holders(ties: Ties) -> dict[str, object]:
    """The names that are held by others."""
    return {name: place.holder for name, place in ties.items() if place.holder != name}


@given(st.lists(views(), max_size=6).map(named))
def test_a_holder_has_every_element(found: list[View]) -> None:
    ties = ties_of(found)
    by_name = {view.name: view for view in found}
    for name, holder in holders(ties).items():
        assert set(places(by_name[name])) <= set(places(by_name[str(holder)]))
        assert (len(by_name[name].shape) >= 2) == (len(by_name[str(holder)].shape) >= 2)
        assert place_of(ties, str(holder)).holder == holder, "a holder is held by none"
    matrices = [view for view in found if len(view.shape) >= 2]
    for x, y in product(matrices, matrices):
        mine, yours = places(x), set(places(y))
        if (mine, x.shape) == (places(y), y.shape) and x.strides == y.strides and x is not y:
            assert place_of(ties, x.name) == place_of(ties, y.name)
        begin, end = min(yours), max(yours) + 4
        dense = len(places(y)) == len(yours) == (end - begin) / 4
        if dense and set(mine) < yours:
            assert x.name in holders(ties)


@given(st.lists(views(), max_size=5).map(named), st.data())
def test_equal_places_in_two_files_are_equal_functions_of_the_holder(
    found: list[View], data: st.DataObject
) -> None:
    """The oracle: with other numbers in the holder, what a view shows is the same rearrangement."""
    moved = [
        replace(view, address=view.address + 4 * data.draw(st.integers(0, 3))) for view in found
    ]
    first, second = ties_of(found), ties_of(moved)
    for x, y in zip(found, moved, strict=True):
        if place_of(first, x.name) != place_of(second, y.name) or x.name not in first:
            continue
        holder = int(str(first[x.name].holder))
        index = {at: n for n, at in enumerate(places(found[holder]))}
        other = {at: n for n, at in enumerate(places(moved[holder]))}
        if len(index) == found[holder].size:  # no element of the holder is seen twice
            assert [index[at] for at in places(x)] == [other[at] for at in places(y)]


@given(st.lists(views(), max_size=6).map(named))
def test_what_is_not_tied_and_overlaps_is_noted(found: list[View]) -> None:
    ties = ties_of(found)
    own = [view for view in found if view.name not in holders(ties)]
    shares = any(set(places(x)) & set(places(y)) for x, y in product(own, own) if x.name < y.name)
    if shares:
        assert overlap_note(found, ties)
    if len(own) < 2:
        assert not overlap_note(found, ties)


def test_fused_and_split_storage() -> None:
    fused = torch.zeros(6, 4)
    state = {
        "k": fused[2:4], "qkv": fused, "q": fused[:2], "q.T": fused[:2].T, "left": fused[:, :2],
        "alone": torch.zeros(6, 4),
    }  # fmt: skip
    assert holders(ties_of(views_of(state))) == dict.fromkeys(["k", "q", "q.T", "left"], "qkv")


def test_arrays_that_run_backwards() -> None:
    x = np.zeros((3, 4))
    found = [View.of_array("x", x), View.of_array("back", x[::-1, ::-1])]
    assert holders(ties_of(found)) == {"back": "x"}


@pytest.mark.parametrize("other", [np.int64, np.complex128])
def test_other_types_are_never_tied(other: type) -> None:
    x = np.zeros((4, 4))
    assert ties_of([View.of_array("x", x), View.of_array("y", x.view(other))]) == {}


@pytest.mark.parametrize("order", [("whole", "part"), ("part", "whole")])
def test_a_part_of_the_same_span_is_held_in_any_order(order: tuple[str, ...]) -> None:
    whole = np.zeros((3, 3))
    arrays = {"whole": whole, "part": whole[::2, ::2]}
    assert holders(ties_of([View.of_array(n, arrays[n]) for n in order])) == {"part": "whole"}


def test_half_an_element_is_no_element() -> None:
    raw = np.zeros(100, np.uint8)
    found = [
        View.of_array("x", raw[:64].view(np.float32).reshape(4, 4)),
        View.of_array("y", raw[2:34].view(np.float32).reshape(2, 4)),
    ]
    assert ties_of(found) == {}
    assert overlap_note(found, {})
