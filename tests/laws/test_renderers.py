"""Every renderer over every kind of report: it renders, escapes, hides no reason, calls nobody."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from functools import cache
from html.parser import HTMLParser

import pytest

from netdistance.errors import UsageError
from netdistance.report.document import Report, to_document
from netdistance.report.escape import visible
from netdistance.report.renderers import RENDERERS, Renderer, render
from tests.laws.every_form import every_form
from tests.unit.report.case_reports import (
    CASE_REPORTS,
    HOSTILE,
    comparison,
    everything_skipped,
    with_model,
)

NAMES, REPORTS = zip(*CASE_REPORTS, strict=True)
HOSTILE_REPORTS = tuple(report for name, report in CASE_REPORTS if name.startswith("hostile"))
MAGIC = {"png": b"\x89PNG\r\n", "svg": b"<?xml", "pdf": b"%PDF-", "html": b"<!doctype html>"}
MARKDOWN_LINES = 60

cases = pytest.mark.parametrize("report", REPORTS, ids=NAMES)
renderers = pytest.mark.parametrize("renderer", RENDERERS, ids=lambda renderer: renderer.name)


@cache
def _rendered(place: int, name: str) -> bytes:
    return render(REPORTS[place], name)


def rendered(report: Report, name: str) -> bytes:
    """A case in a form, made once for all tests."""
    place = next((i for i, case in enumerate(REPORTS) if case is report), None)
    return render(report, name) if place is None else _rendered(place, name)


@pytest.mark.parametrize(("renderer", "place"), every_form())
def test_every_report_renders(renderer: Renderer, place: int) -> None:
    report = REPORTS[place]
    content = rendered(report, renderer.name)
    assert content.startswith(MAGIC.get(renderer.name, b""))
    assert content.endswith((b"\n", b"\x82", b"%%EOF"))


@pytest.mark.parametrize("report", [REPORTS[0], REPORTS[2], REPORTS[3]], ids=range(3))
@renderers
def test_the_same_report_is_the_same_bytes(renderer: Renderer, report: Report) -> None:
    assert rendered(report, renderer.name) == renderer.render(report)


def test_names_options_and_suffixes_are_told_apart() -> None:
    assert len({renderer.name for renderer in RENDERERS}) == len(RENDERERS)
    assert len({(renderer.option, renderer.suffix) for renderer in RENDERERS}) == len(RENDERERS)
    with pytest.raises(UsageError, match=r"'docx'; there are text, json"):
        render(REPORTS[0], "docx")


@cases
@pytest.mark.parametrize("name", ["text", "json", "csv", "markdown", "html", "svg"])
def test_nothing_that_a_terminal_obeys_is_left(name: str, report: Report) -> None:
    text = rendered(report, name).decode()
    # a CJK name may stand as it is; what is not printable may not
    assert all(line.isprintable() for line in text.split("\n")), name


def skipped_reasons(value: object) -> list[str]:
    """Every reason in a document, of a quantity or of a tensor."""
    if isinstance(value, dict):
        own = [value["reason"]] if isinstance(value.get("reason"), str) else []
        return own + [r for member in value.values() for r in skipped_reasons(member)]
    if isinstance(value, list):
        return [reason for member in value for reason in skipped_reasons(member)]
    return []


@cases
def test_every_skipped_reason_is_shown(report: Report) -> None:
    reasons = set(skipped_reasons(to_document(report)))
    assert absent_reasons(report, reasons) == []


def absent_reasons(report: Report, reasons: set[str]) -> list[tuple[str, str]]:
    cells = {cell for row in table(report) for cell in row}
    page = " ".join(parsed(rendered(report, "html").decode()).texts)
    found = set(skipped_reasons(json.loads(rendered(report, "json"))))
    absent = [("json", reason) for reason in reasons - found]
    for reason in map(visible, reasons):
        absent += [("csv", reason)] if not cells & {reason, f"'{reason}"} else []
        absent += [("html", reason)] if reason not in page else []
    return absent


def test_a_planted_reason_that_is_not_shown_is_found() -> None:
    assert len(absent_reasons(everything_skipped(), {"never said"})) == 3


def table(report: Report) -> list[list[str]]:
    return list(csv.reader(io.StringIO(rendered(report, "csv").decode())))


@cases
def test_csv_is_a_table_without_formulas(report: Report) -> None:
    header, *rows = table(report)
    assert len(set(header)) == len(header)
    assert {len(row) for row in rows} == {len(header)}
    assert formulas(rows) == []


def formulas(rows: list[list[str]]) -> list[str]:
    """Cells that a spreadsheet would run: those with a formula's sign that are no number."""
    number = re.compile(r"-\d+(\.\d+)?(e[-+]\d+)?")
    risky = (cell for row in rows for cell in row if cell.startswith(tuple("=+-@\t\r")))
    return [cell for cell in risky if not number.fullmatch(cell)]


def test_planted_formulas_are_found() -> None:
    cells = ["=1", "+1", "@x", "-x", "\tx", "-1.5", "-1e-05", "'=1", "x=1"]
    assert formulas([cells]) == ["=1", "+1", "@x", "-x", "\tx"]


def test_csv_holds_every_number_to_the_last_bit() -> None:
    header, *rows = table(with_model())
    place = {name: header.index(name) for name in ("section", "number", "value", "upper", "t")}
    found = {tuple(row[place[key]] for key in place) for row in rows}
    assert ("path.bounds", "value", "", repr(9.0 * 0.25), "0.25") in found
    assert ("path", "deviation", repr(0.1 * 0.25), "", "0.25") in found
    assert ("deviation", "quantile 0.9", "0.2", "", "") in found


class Page(HTMLParser):
    """A page's attributes, texts, and the elements that stand open at its end."""

    VOID = ("meta", "br", "img", "link", "input", "path", "use")

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.attributes: list[tuple[str, str, str]] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.code: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self.open and self.open[-1] in ("style", "script")
        (self.code if inside else self.texts).append(data)


def parsed(text: str) -> Page:
    page = Page()
    page.feed(text)
    page.close()
    return page


def references(text: str) -> list[str]:
    """What in a page could make a browser ask the network, or run what is not the page's own."""
    page = parsed(text)
    found = []
    for tag, name, value in page.attributes:
        loads = name.split(":")[-1] in ("src", "href", "srcset", "action", "data", "poster")
        outside = re.search(r"url\((?!#)|//|https?:|javascript:", value, re.IGNORECASE)
        spoken = name in ("data-key", "aria-label")  # a text, which nothing follows
        own = not name.startswith(("on", "xmlns")) and (value.startswith("#") or not loads)
        if not own or (outside and not spoken):
            found.append(f"{tag} {name}={value}")
    found += [tag for tag in page.tags if tag in ("link", "img", "iframe", "object", "base")]
    found += [c for c in page.code if re.search(r"url\(|//|http|@import|fetch|import\(", c)]
    return found


@cases
def test_html_calls_nobody_and_closes_what_it_opens(report: Report) -> None:
    text = rendered(report, "html").decode()
    assert references(text) == []
    page = parsed(text)
    assert page.open == []
    assert page.tags.count("script") == 1
    assert {tag for tag, name, _ in page.attributes if name == "style"} <= {"svg", *SVG}


SVG = ("g", "path", "text", "use", "rect", "tspan")


@pytest.mark.parametrize(
    "planted",
    [
        '<img src="x.png">',
        '<a href="http://x.example">x</a>',
        '<p style="background: url(x.png)">x</p>',
        '<p onclick="x()">x</p>',
        '<svg xmlns="http://www.w3.org/2000/svg"></svg>',
        "<style>@import 'x.css';</style>",
        '<link rel="icon" href="#">',
        '<form action="//x.example"></form>',
    ],
)
def test_a_planted_reference_is_found(planted: str) -> None:
    assert references(f"<main>{planted}</main>") != []
    assert references("<main><p>http://x.example url(x) src=</p></main>") == []


@cases
def test_html_can_be_read_by_everybody(report: Report) -> None:
    page = parsed(rendered(report, "html").decode())
    assert ("html", "lang", "en") in page.attributes
    assert page.tags.count("title") >= 1 and page.tags.count("h1") == 1
    assert page.tags.count("caption") == page.tags.count("table")
    scopes = [value for tag, name, value in page.attributes if (tag, name) == ("th", "scope")]
    assert len(scopes) == page.tags.count("th")
    if "svg" in page.tags:
        assert ("svg", "role", "img") in page.attributes
        assert any(tag == "svg" and name == "aria-label" for tag, name, _ in page.attributes)


@pytest.mark.parametrize("report", HOSTILE_REPORTS, ids=lambda report: report.study)
def test_hostile_names_are_shown_as_text_in_html(report: Report) -> None:
    page = parsed(rendered(report, "html").decode())
    shown = " ".join(page.texts)
    assert [name for name in HOSTILE if visible(name) not in shown] == []


@pytest.mark.parametrize("report", HOSTILE_REPORTS, ids=lambda report: report.study)
def test_a_figure_of_hostile_names_is_one_clean_file(report: Report) -> None:
    svg = rendered(report, "svg")
    root = ET.fromstring(svg)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not tags & {"script", "image", "a", "foreignObject", "img"}


def outside_of_code(text: str) -> str:
    """Markdown with its code spans taken out."""
    return re.sub(r"`[^`\n]*`", "", text)


@cases
def test_markdown_is_short_and_its_names_are_text(report: Report) -> None:
    text = rendered(report, "markdown").decode()
    assert text.count("\n") <= MARKDOWN_LINES
    assert live_markup(text) == []


def live_markup(text: str) -> list[str]:
    """Lines with what Markdown or GitHub would act upon, tables, bold and lists apart."""
    bare = [re.sub(r"^- |\*\*", "", line) for line in outside_of_code(text).splitlines()]
    live = re.compile(r"[@<>\[\]`*#&$\\_!]|www\.|//|^\s*(-{3,}|={3,}|\d+\.\s)")
    return [line for line in bare if live.search(line)]


def test_planted_markup_is_found() -> None:
    for planted in ("ask @you", "<b>", "[x](y)", "a`b", "#12", "www.x.example", "_x_", "http://x"):
        assert live_markup(f"**fine**\n\n| `@a` | {planted} |\n") != []


def test_a_markdown_table_keeps_its_columns() -> None:
    for report in HOSTILE_REPORTS:
        blocks = rendered(report, "markdown").decode().split("\n\n")
        tables = [block.splitlines() for block in blocks if block.startswith("|")]
        assert tables
        assert [t for t in tables if len({row.count("|") for row in t}) > 1] == []


def test_markdown_says_what_it_left_out() -> None:
    report = comparison(*(f"layer.{i}.weight" for i in range(100)))
    text = rendered(report, "markdown").decode()
    assert "90 of 100 layers left out." in text
    assert "and 1 more" in text
    assert "`layer.99`" not in text.split("left out")[1]
    # the worst first
    assert text.index("| layer.99 |") < text.index("| layer.98 |")
