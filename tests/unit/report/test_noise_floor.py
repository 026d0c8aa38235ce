"""Which format a comparison is read against, and which weights rounding to it does not explain."""

from __future__ import annotations

import pytest

from netdistance.quantities import Exact, Quantity, Skipped
from netdistance.report.document import PairingAccount, Report, TensorRow, Verdict
from netdistance.report.noise_floor import FORMATS, held_by, noise_floor
from netdistance.report.verdicts import compare_verdict


def row(name: str, **multiples: float | str) -> TensorRow:
    """A weight that moved by 1%, with multiples of the formats given, or why it has none."""
    found: dict[str, Quantity] = {"relative_frobenius": Exact(0.01)}
    for kind in FORMATS:
        given = multiples.get(kind, 1e6 / 10 ** FORMATS.index(kind))
        found[f"rounding_multiple_{kind}"] = (
            Skipped(given) if isinstance(given, str) else Exact(given)
        )
    return TensorRow(name, (4, 4), "F32", "F32", name, found)


def verdict(rows: list[TensorRow]) -> str:
    report = Report("compare", {}, Verdict(""), PairingAccount(len(rows), 0), tuple(rows))
    return compare_verdict(report, "base", "other")


@pytest.mark.parametrize("kind", FORMATS)
def test_the_format_that_all_look_rounded_to(kind: str) -> None:
    floor = noise_floor([row(name, **{kind: 0.98}) for name in "abcd"])
    assert floor is not None and floor.format == kind
    assert floor.is_rounding and floor.explains and floor.beyond == ()


def test_one_weight_beyond_the_rounding_of_the_others_is_named() -> None:
    rows = [row(name, int8=1.0, int4=0.1) for name in "abcd"] + [row("odd", int8=3.5, int4=0.35)]
    floor = noise_floor(rows)
    assert floor is not None and floor.format == "int8"
    assert floor.beyond == ("odd",)
    text = verdict([*rows[:-1], row("odd", int8=3.5)])
    # it moved as far as the others here, so that its name is in the floor's weights
    assert "within int8 rounding of base but for 1 of 5 weights: odd moved 3.5 x" in text


def test_small_moves_of_many_sizes_are_within_the_coarser_format() -> None:
    """A fine-tuned copy is no rounded one: no multiple of int8 is near 1."""
    floor = noise_floor([row(str(m), int8=m, int4=m / 10) for m in (2.0, 4.0, 6.0, 8.0)])
    assert floor is not None and floor.format == "int4"
    assert floor.explains and not floor.is_rounding


def test_what_nothing_explains_is_read_against_the_coarsest() -> None:
    floor = noise_floor([row(name, int4=40.0) for name in "ab"])
    assert floor is not None and (floor.format, floor.explains) == ("int4", False)
    assert "differs from base" in verdict([row(name, int4=40.0) for name in "ab"])


def test_a_format_that_says_nothing_of_a_moved_weight_is_none() -> None:
    on_grid = "a already is on the int4 grid: rounding would not move it"
    rows = [row("a", int4=1.0), row("b", int4=on_grid)]
    floor = noise_floor(rows)
    assert floor is not None and floor.format == "fp8"
    assert held_by(rows) == {"int4": 1}
    assert held_by([row("a", int4="one axis")]) == {}
