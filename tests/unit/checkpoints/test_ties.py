"""Which tensors share elements, against the sets of the elements themselves."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netdistance.checkpoints.ties import View, overlap_note, ties_of
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
    """The address of each element, as often as it is seen."""
    steps = (range(n) for n in view.shape)
    return sorted(
        view.address + sum(i * step for i, step in zip(at, view.strides, strict=True))
        for at in product(*steps)
    )


def named(found: list[View]) -> list[View]:
    return [
        View(f"{i}", v.address, v.shape, v.strides, v.item, v.kind) for i, v in enumerate(found)
    ]


@given(st.lists(views(), max_size=6).map(named))
def test_a_holder_has_every_element(found: list[View]) -> None:
    ties = ties_of(found)
    by_name = {view.name: view for view in found}
    for name, holder in ties.items():
        assert set(places(by_name[name])) <= set(places(by_name[holder]))
        assert (len(by_name[name].shape) >= 2) == (len(by_name[holder].shape) >= 2)
        assert holder not in ties, "a holder is held by none"
    matrices = [view for view in found if len(view.shape) >= 2]
    for x, y in product(matrices, matrices):
        mine, yours = places(x), places(y)
        if mine == yours:
            assert ties.get(x.name, x.name) == ties.get(y.name, y.name)
        begin, end = yours[0], yours[-1] + 4
        if len(yours) == (end - begin) / 4 and set(yours) == set(range(begin, end, 4)) > set(mine):
            assert x.name in ties


@given(st.lists(views(), max_size=6).map(named))
def test_what_is_not_tied_and_overlaps_is_noted(found: list[View]) -> None:
    ties = ties_of(found)
    own = [view for view in found if view.name not in ties]
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
    assert ties_of(views_of(state)) == dict.fromkeys(["k", "q", "q.T", "left"], "qkv")


def test_arrays_that_run_backwards() -> None:
    x = np.zeros((3, 4))
    found = [View.of_array("x", x), View.of_array("back", x[::-1, ::-1])]
    assert ties_of(found) == {"back": "x"}


@pytest.mark.parametrize("other", [np.int64, np.complex128])
def test_other_types_are_never_tied(other: type) -> None:
    x = np.zeros((4, 4))
    assert ties_of([View.of_array("x", x), View.of_array("y", x.view(other))]) == {}
