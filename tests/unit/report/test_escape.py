"""Names that a terminal would obey come out as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netdistance.report.escape import shortened, visible
from netdistance.report.layout import paragraph, table

ANYTHING = st.text(st.characters())  # surrogates too


def obeyed(text: str) -> list[str]:
    """Characters that a terminal acts upon instead of showing."""
    return [c for c in text if not c.isprintable()]


def test_a_planted_control_character_is_found() -> None:
    assert obeyed("a\x1b[2Jb") == ["\x1b"]
    assert obeyed("\u202e\x9b\x00\n\t\ud800\u200b") == list("\u202e\x9b\x00\n\t\ud800\u200b")
    assert obeyed("ä█ weight") == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0.weight", "0.weight"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\u202egnp", "\\u202egnp"),
        ("a\nb\r\0", "a\\nb\\r\\x00"),
        ("\x9b", "\\x9b"),
        ("\U000e0001", "\\U000e0001"),
        ("\ud800", "\\ud800"),
        ("größe 層", "größe 層"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(ANYTHING)
def test_nothing_is_obeyed_and_nothing_fails_to_encode(text: str) -> None:
    assert obeyed(visible(text)) == []
    visible(text).encode("utf-8")
    assert visible(visible(text)) == visible(text)


@given(ANYTHING, st.integers(3, 40))
def test_shortened_fits(text: str, width: int) -> None:
    shown = shortened(text, width)
    assert 1 <= len(shown) <= width
    assert obeyed(shown) == []
    if 0 < len(visible(text)) <= width:
        assert shown == visible(text)


def test_an_empty_name_can_be_seen() -> None:
    assert shortened("", 10) == "''"


@given(ANYTHING)
def test_paragraphs_and_tables_are_safe(text: str) -> None:
    for line in (*paragraph(text, indent="  "), *table(["name", "x"], [[text[:60], "1"]])):
        assert obeyed(line) == []
    assert all(len(line) <= 80 for line in paragraph(text, indent="  "))


def test_markup_is_no_markup() -> None:
    (_, line) = table(["name"], [["[bold red]x[/] :smile: [link=http://x]y[/link]"]])
    assert line == "[bold red]x[/] :smile: [link=http://x]y[/link]"
