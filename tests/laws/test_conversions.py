"""Every conversion undoes what a converter wrote, exactly, and takes nothing for what it is not."""

from __future__ import annotations

import numpy as np
import pytest

from netdistance.checkpoints import open_checkpoint
from netdistance.pairing.conversions import CONVERSIONS, Conversions, converted
from netdistance.pairing.match import pair_tensors
from tests.cases.conversions import CASES, Arrays, Case

BF16 = 2.0**-8


def found(a: Arrays, b: Arrays) -> tuple[Arrays, Conversions]:
    """What a's names face, and how it was found."""
    with open_checkpoint(a) as file_a, open_checkpoint(b) as file_b:
        view, conversions = converted(file_a, file_b)
        pairing = pair_tensors(file_a.specs, view.specs)
        return {pair.name: view.read(pair.name) for pair in pairing.pairs}, conversions


def made(case: Case, seed: int = 0) -> tuple[Arrays, Arrays]:
    return case.make(np.random.default_rng(seed))


def rounded(arrays: Arrays, draw: np.random.Generator) -> Arrays:
    """Every number moved by up to half a unit in the last place of bfloat16."""
    return {
        n: (x * (1 + BF16 / 2 * draw.uniform(-1, 1, x.shape))).astype(np.float32)
        for n, x in arrays.items()
    }


def test_every_conversion_has_a_case() -> None:
    assert {c.name for c in CONVERSIONS} <= {case.conversion for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_converter_wrote_is_found_exactly(case: Case) -> None:
    a, b = made(case)
    faced, conversions = found(a, b)
    assert conversions.ambiguous == ()
    assert faced.keys() == a.keys()
    for name, value in a.items():
        assert np.array_equal(faced[name], value), name
    told = [match.transform or "" for match in conversions.matches.values()]
    for beginning in case.transforms:
        assert any(text.startswith(beginning) for text in told), told


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rounding_does_not_hide_it(case: Case) -> None:
    a, b = made(case)
    b = rounded(b, np.random.default_rng(1))
    faced, _ = found(a, b)
    assert faced.keys() == a.keys()
    for name, value in a.items():
        # a norm that is stored with 1 added has lost what 1 + w rounds away
        size = np.linalg.norm(np.abs(value) + 1 if "norm" in name else value)
        assert np.linalg.norm(faced[name] - value) <= BF16 * size, name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_unrelated_weights_are_never_taken_for_it(case: Case) -> None:
    a, _ = made(case, seed=0)
    _, b = made(case, seed=1)
    _, conversions = found(a, b)
    assert conversions.matches == {}
    # what is one number everywhere, and the same on both sides, is told and not taken
    assert all(np.ptp(a[unclear.name]) == 0.0 for unclear in conversions.ambiguous)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_in_place_is_left_there(case: Case) -> None:
    a, _ = made(case)
    with open_checkpoint(a) as file_a, open_checkpoint(rounded(a, np.random.default_rng(1))) as b:
        view, conversions = converted(file_a, b)
        assert view is b
        assert conversions == Conversions()
