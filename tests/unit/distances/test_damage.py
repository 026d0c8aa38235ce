"""Verdicts on real roundings and on planted damage, of containers that are known or shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from netdistance.checkpoints.state_dict import StateDictCheckpoint
from netdistance.distances.damage import TensorVerdict, judge_tensor
from netdistance.distances.stream import stream_sums
from netdistance.grids.floats import BF16
from netdistance.grids.floats import rounded as rounded_to
from netdistance.pairing.match import pair_tensors

Array = np.ndarray
WEIGHT = np.random.default_rng(0).standard_normal((96, 384)).astype(np.float32)
INT4_128, GPTQ = "int4, groups of 128", "gptq 4-bit, groups of 128"


def codes(weight: Array, bits: int, top: float, group: int) -> tuple[Array, Array]:
    """The codes of each group and its scale."""
    groups = weight.astype(np.float64).reshape(-1, group)
    scale = np.abs(groups).max(axis=1, keepdims=True) / top
    last = 2 ** (bits - 1)
    return np.clip(np.rint(groups / scale), -last, last - 1), scale


def verdict(b: Array, label: str | None = None, a: Array = WEIGHT) -> TensorVerdict:
    """Of b stored as the label says, or plainly."""
    left, right = StateDictCheckpoint({"w": a}), StateDictCheckpoint({"w": b})
    if label is not None:
        right.specs = {"w": replace(right.specs["w"], encoding=label, values="F32")}
    pair = pair_tensors(left.specs, right.specs).pairs[0]
    sums = stream_sums(left, right, (pair,), threads=1)
    return judge_tensor(left, right, pair, sums.get("w"))


def rounded(bits: int, top: float, group: int, a: Array = WEIGHT) -> Array:
    found, scale = codes(a, bits, top, group)
    return (found * scale).reshape(a.shape).astype(np.float32)


@pytest.mark.parametrize(
    ("b", "label", "of"),
    [
        (rounded(4, 7.0, 128), INT4_128, "int4"),
        (rounded(4, 7.5, 128), INT4_128, "int4"),
        (rounded(4, 7.5, 128), GPTQ, "int4"),
        (rounded(4, 7.0, 128), None, "int4"),
        (rounded(4, 7.5, 64), None, "int4"),
        (rounded(8, 127.0, 384), "bitsandbytes int8, a scale per row", "int8"),
        (rounded(8, 127.0, 384), None, "int8"),
        (rounded(8, 127.0, 32), None, "int8"),
        (rounded(8, 127.0, 32), "Q8_0", "int8"),
        (WEIGHT.astype(np.float16), None, "fp16"),
        (rounded_to(BF16, WEIGHT), None, "bf16"),
    ],
)
def test_rounding_is_rounding(b: Array, label: str | None, of: str) -> None:
    found = verdict(b, label)
    assert (found.verdict, found.rounding_of, found.reason) == ("rounding", of, None)


def _scales(by: float, where: slice = slice(None)) -> Callable[[Array, Array], Array]:
    def damaged(code: Array, scale: Array) -> Array:
        changed = scale.copy()
        changed[where] *= by
        return code * changed

    return damaged


def _code(change: Callable[[Array], Array], where: slice) -> Callable[[Array, Array], Array]:
    def damaged(code: Array, scale: Array) -> Array:
        changed = code.copy()
        changed[where] = change(changed[where])
        return changed * scale

    return damaged


def _swapped(code: Array, scale: Array) -> Array:
    rows = (code * scale).reshape(WEIGHT.shape).copy()
    rows[[3, 7]] = rows[[7, 3]]
    return rows


DRAW = np.random.default_rng(1)
ONE = slice(40, 41)
DAMAGE: dict[str, Callable[[Array, Array], Array]] = {
    "every scale 10% too large": _scales(1.1),
    "every scale 2% too large": _scales(1.02),
    "one scale 10% too large": _scales(1.1, ONE),
    "one zero point one too high": _code(lambda c: c + 1, ONE),
    "one group of random codes": _code(lambda c: DRAW.integers(-7, 8, c.shape), ONE),
    "one group of zeros": _code(lambda c: 0 * c, ONE),
    "every code off by one": _code(lambda c: c + DRAW.choice([-1, 1], c.shape), slice(None)),
    "two rows swapped": _swapped,
}
# what GPTQ does on purpose hides these
HIDDEN_BY_CALIBRATION = tuple(n for n in DAMAGE if n.startswith(("one", "two")))


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize(("bits", "top", "group"), [(4, 7.0, 128), (8, 127.0, 384)])
@pytest.mark.parametrize("labelled", [True, False])
def test_damage_is_more_than_rounding(
    name: str, bits: int, top: float, group: int, labelled: bool
) -> None:
    label = {4: INT4_128, 8: "bitsandbytes int8, a scale per row"}[bits] if labelled else None
    b = DAMAGE[name](*codes(WEIGHT, bits, top, group)).reshape(WEIGHT.shape).astype(np.float32)
    found = verdict(b, label)
    assert found.verdict in ("more_than_rounding", "broken"), found
    assert found.reason is not None and any(c.isdigit() for c in found.reason)


@pytest.mark.parametrize("name", [n for n in DAMAGE if n not in HIDDEN_BY_CALIBRATION])
def test_damage_in_a_calibrated_container(name: str) -> None:
    b = DAMAGE[name](*codes(WEIGHT, 4, 7.0, 128)).reshape(WEIGHT.shape).astype(np.float32)
    assert verdict(b, GPTQ).verdict in ("more_than_rounding", "broken")


def test_a_change_that_is_no_rounding_is_not_excused_by_a_coarse_format() -> None:
    noise = 0.05 * np.random.default_rng(2).standard_normal(WEIGHT.shape).astype(np.float32)
    found = verdict(WEIGHT + noise)
    assert (found.verdict, found.rounding_of) == ("more_than_rounding", "bf16")
    assert "x as far as bf16 rounding" in str(found.reason)


def test_a_vector_that_moved_is_judged() -> None:
    gain = np.random.default_rng(3).standard_normal(64).astype(np.float32)
    assert verdict(gain.astype(np.float16), a=gain).verdict == "rounding"
    assert verdict(gain * np.float32(1.05), a=gain).verdict == "more_than_rounding"
    assert verdict(gain * np.float32(9.5), a=gain).verdict == "broken"


def test_identical_values_in_another_type_are_lossless() -> None:
    half = WEIGHT.astype(np.float16)
    assert verdict(half.astype(np.float64), a=half).verdict == "lossless"


def test_what_has_no_distance() -> None:
    zero, nan = np.zeros_like(WEIGHT), WEIGHT.copy()
    nan[0, 0] = np.nan
    assert verdict(nan).verdict == "broken"
    assert verdict(WEIGHT, a=zero).verdict == "broken"
    assert verdict(zero).verdict == "broken"
    assert verdict(zero, a=zero).verdict == "lossless"
    whole = np.arange(6).reshape(2, 3)
    changed = verdict(whole + 1, a=whole)
    assert (changed.verdict, changed.reason) == (
        "more_than_rounding",
        "6 of 6 integers differ: integers compare by equality",
    )


def test_a_container_without_a_known_floor_says_so() -> None:
    found = verdict(WEIGHT * np.float32(1.1), "IQ3_XXS")
    assert found.verdict == "not_compared"
    assert found.reason == (
        "moved by 0.1 of its size, and what rounding to IQ3_XXS costs is not known here"
    )


def test_float32_sums_in_another_order_are_float32_rounding() -> None:
    change = 0.1 * np.random.default_rng(4).standard_normal(WEIGHT.shape)
    once = (WEIGHT + change).astype(np.float32)
    twice = WEIGHT + change.astype(np.float32)
    assert 0.0 < np.mean(once != twice) < 0.5
    found = verdict(twice, a=once)
    assert (found.verdict, found.rounding_of) == ("rounding", "fp32")
    nominal = np.linalg.norm(np.spacing(np.abs(once))) / np.sqrt(12.0)
    assert found.floor == pytest.approx(nominal / np.linalg.norm(once), rel=1e-3)


def test_an_adapter_on_plain_numbers_is_judged_as_plain_numbers() -> None:
    change = 0.1 * np.random.default_rng(5).standard_normal(WEIGHT.shape).astype(np.float32)
    found = verdict(WEIGHT + change, "F32 + LoRA rank 8")
    assert (found.verdict, found.rounding_of) == ("more_than_rounding", "bf16")


def test_a_reference_on_the_grid_has_no_floor() -> None:
    on_grid = rounded(4, 7.0, 128)
    found = verdict(on_grid * np.float32(1.01), INT4_128, on_grid)
    assert found.verdict == "more_than_rounding"
    assert "moved by 0.01 of its size, though a lies on the int4 grid" in str(found.reason)
