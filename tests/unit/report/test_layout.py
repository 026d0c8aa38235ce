"""Tables fit in 80 columns, and what they cut still tells the rows apart."""

from __future__ import annotations

import pytest

from netdistance.report.layout import COLUMNS, table

NAMES = [f"encoder.layer.{n}.{part}.output.dense" for n in (0, 11) for part in ("attention", "mlp")]
TITLES = ("layer", "change", "x int4 rounding", "share of trust", "sign flips", "zeros a", "more")


@pytest.mark.parametrize("columns", range(2, len(TITLES) + 1))
def test_a_table_fits_and_its_names_stay_apart(columns: int) -> None:
    rows = [(name, *("12.5%" for _ in range(columns - 1))) for name in NAMES]
    lines = table(TITLES[:columns], rows)
    assert max(map(len, lines)) <= COLUMNS
    assert len({line.split()[0] for line in lines[-len(NAMES) :]}) == len(NAMES)


def test_every_word_of_a_title_stays() -> None:
    lines = table(TITLES, [(NAMES[0], *("1" for _ in TITLES[1:]))])
    assert sorted(" ".join(lines[:2]).split()) == sorted(" ".join(TITLES).split())


def test_numbers_stand_to_the_right_and_wide_letters_count_twice() -> None:
    assert table(("name", "n"), [("a", "1"), ("日本語", "10")]) == [
        "name     n",
        "a        1",
        "日本語  10",
    ]
