"""Codes and cuts: closed forms, the nearest number by brute force, and what shares a scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netdistance.grids.base import Code
from netdistance.grids.floats import (
    BF16,
    E2M1,
    E4M3,
    E5M2,
    FP16,
    Microscaled,
    Number,
    Scaled,
    SmallFloat,
    rounded,
)
from netdistance.grids.formats import FP4, FP8, MXFP4, NF4, integers
from netdistance.grids.integers import Affine, SignedLargest, Symmetric
from netdistance.grids.quantiser import Cut, Quantiser
from netdistance.grids.tables import FP4_TABLE, NF4_TABLE

ROWS = np.random.default_rng(0).standard_normal((4, 160)).astype(np.float32)
CODES: tuple[Code, ...] = (
    Symmetric(4), Symmetric(8), SignedLargest(4), Affine(4, with_zero=True),
    Affine(8, with_zero=True), Affine(5, with_zero=False), NF4_TABLE, FP4_TABLE, Scaled(E4M3),
    Scaled(E5M2), Scaled(E2M1), Microscaled(E2M1),
)  # fmt: skip
CUTS = (Cut(), Cut(32), Cut(33), Cut(1000), Cut(64, flat=True), Cut(7, 3), Cut(whole=True))


def test_whole_codes_of_a_group_stay_where_they_are() -> None:
    codes = np.array([[7.0, -3.0, 2.0, 0.0, -7.0, 5.0]], dtype=np.float32)
    found, scales = integers(4, 4).encode(codes)
    assert found.tolist() == [[7, -3, 2, 0, -7, 5]] and scales.tolist() == [[1, 1]]
    # the ragged last group has a scale of its own
    codes[0, 4:] /= 2.0
    assert integers(4, 4).encode(codes)[1].tolist() == [[1, 0.5]]


@pytest.mark.parametrize(
    ("code", "step"),
    [
        (Symmetric(8), 1 / 127),
        (Affine(4, with_zero=True), 2 / 15),
        (Affine(4, with_zero=False), 2 / 15),
    ],
    ids=str,
)
def test_nothing_moves_more_than_half_a_step(code: Code, step: float) -> None:
    largest = np.abs(ROWS.reshape(-1, 32)).max(axis=1, keepdims=True)
    moved = np.abs(Quantiser(code, Cut(32)).rounded(ROWS) - ROWS).reshape(-1, 32)
    assert (moved <= 0.501 * step * largest).all()
    assert moved.max() > 0.0


def test_the_signed_largest_gets_the_last_code() -> None:
    rows = np.array([[0.5, 4.0, -1.0, 0.0], [0.5, -4.0, 1.0, 3.9]], dtype=np.float32)
    codes, scales = Quantiser(SignedLargest(4)).encode(rows)
    assert codes.tolist() == [[-1, -8, 2, 0], [1, -8, 2, 7]]
    assert scales.tolist() == [[-0.5], [0.5]]


def test_zero_is_a_whole_code_or_the_least_is_one() -> None:
    rows = np.array([[1.0, 2.0, 16.0]], dtype=np.float32)
    whole = Quantiser(Affine(4, with_zero=True)).encode(rows)
    assert whole[0].tolist() == [[1, 2, 15]] and whole[1].tolist() == [[16 / 15, 0]]
    least = Quantiser(Affine(4, with_zero=False)).encode(rows)
    assert least[0].tolist() == [[0, 1, 15]] and least[1].tolist() == [[1, 1]]


@pytest.mark.parametrize("kind", [E4M3, E5M2, E2M1], ids=str)
def test_small_floats_by_brute_force(kind: SmallFloat) -> None:
    """Every number of the type, every middle between two, what is beside these, and the ends."""
    numbers = np.sort(kind.table[np.isfinite(kind.table)])
    middles = ((numbers[1:].astype(np.float64) + numbers[:-1]) / 2.0).astype(np.float32)
    exact = np.concatenate([numbers, middles, [1e-45, 1e-38, 1e6, -1e6]]).astype(np.float32)
    beside = [np.nextafter(exact, np.float32(end)) for end in (-np.inf, np.inf)]
    seen = np.concatenate([exact, *beside])
    codes = kind.codes(seen)
    last = int(np.argmax(kind.table == kind.top))
    for number, code in zip(seen.tolist(), codes.tolist(), strict=True):
        own = kind.table[: last + 1].astype(np.float64)
        away = np.abs(own - abs(number))
        nearest = np.flatnonzero(away == away.min())
        expected = nearest[nearest % 2 == 0][0] if nearest.size > 1 else nearest[0]
        assert abs(float(kind.table[code])) == own[expected], number
        assert np.signbit(kind.table[code]) == np.signbit(number)


@pytest.mark.parametrize(
    ("number", "name"),
    [(BF16, "bfloat16"), (FP16, "float16"), (E4M3, "float8_e4m3fn"), (E5M2, "float8_e5m2")],
)
def test_casts_are_those_of_the_types(number: Number, name: str) -> None:
    torch = pytest.importorskip("torch")
    dtype = getattr(torch, name)
    ties = np.array([1.0 + 2.0**-8, 1.0 + 3 * 2.0**-8, -1.0 - 2.0**-11, 1.0625, 1.125, -0.0])
    for rows in (ROWS, ROWS.astype(np.float64) * np.pi, ROWS * np.float32(1e-3), ties):
        expected = torch.from_numpy(rows).to(dtype).double().numpy()
        assert np.array_equal(rounded(number, rows), expected)


@pytest.mark.parametrize("quantiser", [NF4, FP4], ids=["nf4", "fp4"])
def test_tables_by_brute_force(quantiser: Quantiser) -> None:
    values = quantiser.rounded(ROWS).reshape(-1, 64)
    table = quantiser.code
    assert table in (NF4_TABLE, FP4_TABLE)
    for block, found in zip(ROWS.reshape(-1, 64), values, strict=True):
        held = np.array(table.entries) * np.abs(block).max()  # type: ignore[attr-defined]
        least = np.abs(held[None] - block[:, None]).min(axis=1)
        np.testing.assert_allclose(np.abs(found - block), least, rtol=1e-5, atol=1e-7)


def test_blocks_share_one_scale() -> None:
    rows = np.ones((3, 5), dtype=np.float32)
    rows[0, 0], rows[2, 4] = 448.0 * 512, 7.0
    codes, scales = Quantiser(Scaled(E4M3), Cut(4, 2)).encode(rows)
    assert scales.tolist() == [[512.0, 1 / np.float32(448)], [1 / np.float32(448), 1 / 64]]
    found = Quantiser(Scaled(E4M3), Cut(4, 2)).decode(codes, scales)
    assert found[0, 0] == 448.0 * 512 and found[1, 3] == 1.0  # the least step is 2^-9
    assert found[2, 4] == 7.0 and found[2, 0] == 1.0


def test_groups_run_on_from_row_to_row() -> None:
    rows = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], dtype=np.float32)
    codes, scales = Quantiser(NF4_TABLE, Cut(4, flat=True)).encode(rows)
    assert scales.ravel().tolist() == [4, 8, 9] and codes.shape == rows.shape


def by_hand(code: Code, cut: Cut, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Each group for itself, found by the place of each element."""
    place = np.arange(rows.size).reshape(rows.shape)
    row, column = np.divmod(place, rows.shape[1])
    group = cut.group or rows.shape[1]
    numbers = row // cut.band * rows.shape[1] + column // group
    if cut.flat:
        numbers = place // group
    found = np.empty_like(rows)
    for number in np.unique(0 * numbers if cut.whole else numbers):
        mine = numbers == number if not cut.whole else np.ones(rows.shape, dtype=np.bool_)
        own = rows[mine].reshape(1, 1, 1, -1)
        scale = code.scales(own)
        if cut.whole:  # only the largest magnitude of a whole tensor is known
            scale = code.scales(np.abs(own).max().reshape(1, 1, 1, 1))
        found[mine] = code.values(code.codes(own, scale).astype(code.dtype), scale).ravel()
    return found


@pytest.mark.parametrize("code", CODES, ids=str)
@pytest.mark.parametrize("cut", CUTS, ids=str)
@pytest.mark.parametrize("shape", [(4, 80), (1, 320), (64, 5)], ids=str)
def test_every_cut_of_every_code(code: Code, cut: Cut, shape: tuple[int, int]) -> None:
    if cut.whole and isinstance(code, SignedLargest | Affine):
        return  # they need more than the largest magnitude
    rows = ROWS[:2].reshape(shape).copy()
    rows[0, :3] = 0.0
    quantiser = Quantiser(code, cut)
    codes, scales = quantiser.encode(rows)
    assert codes.shape == shape and codes.dtype == code.dtype
    assert scales.size == cut.count(*shape) * (2 if isinstance(code, Affine) else 1)
    np.testing.assert_array_equal(quantiser.decode(codes, scales), by_hand(code, cut, rows))


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_bands_change_nothing(cut: Cut, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Quantiser(Symmetric(4), cut).encode(ROWS)
    monkeypatch.setattr("netdistance.grids.quantiser._BAND_ELEMENTS", 200)
    for one, other in zip(whole, Quantiser(Symmetric(4), cut).encode(ROWS), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(
        Quantiser(Symmetric(4), cut).decode(*whole), by_hand(Symmetric(4), cut, ROWS)
    )


def test_a_part_of_a_tensor_of_one_scale() -> None:
    largest = float(np.abs(ROWS).max())
    parts = [FP8.rounded(ROWS[i : i + 1].astype(np.float64), largest) for i in range(4)]
    np.testing.assert_array_equal(np.concatenate(parts), FP8.rounded(ROWS))


def test_zeros_have_scales_that_leave_them() -> None:
    zeros = np.zeros((2, 40), dtype=np.float32)
    for code in CODES:
        assert not Quantiser(code, Cut(32)).rounded(zeros).any(), code
    assert MXFP4.encode(zeros)[1].tolist() == [[0, 0], [0, 0]]
