"""What a notebook shows of a report: short, inert, and with every name as text."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from netdistance import Report, render_fragment, render_text
from netdistance.report.document import Verdict
from netdistance.report.escape import visible
from tests.laws.test_renderers import parsed, references
from tests.unit.report.case_reports import (
    CASE_REPORTS,
    LONG,
    PROVENANCE,
    comparison,
    everything_skipped,
    perturbation,
    training,
    with_model,
)

NAMES, REPORTS = zip(*CASE_REPORTS, strict=True)
MOST_BYTES = 12_000
TAGS = {"div", "p", "strong", "small", "code", "br", "table", "thead", "tbody", "tr", "th", "td"}
STYLES = {"text-align: left", "text-align: right", "overflow-wrap: anywhere"}

cases = pytest.mark.parametrize("report", REPORTS, ids=NAMES)


def intrusions(fragment: str) -> list[str]:
    """What in a fragment could reach beyond it, or is made of a name from a file."""
    page = parsed(fragment)
    root = ("div", "class", "tex2jax_ignore mathjax_ignore")
    styled = {("style", style) for style in STYLES}
    found = references(fragment) + sorted(set(page.tags) - TAGS) + page.open
    found += [f"{t} {n}={v}" for t, n, v in page.attributes[1:] if (n, v) not in styled]
    return found if page.attributes[:1] == [root] else [*found, "mathematics is typeset"]


@cases
def test_it_stays_within_itself(report: Report) -> None:
    fragment = report._repr_html_()
    assert intrusions(fragment) == []
    assert all(line.isprintable() for line in fragment.split("\n"))
    assert len(fragment.encode()) <= MOST_BYTES


@pytest.mark.parametrize(
    "planted",
    [
        "<style>td { color: red }</style>",
        "<script>x()</script>",
        '<p class="x">x</p>',
        '<p id="x">x</p>',
        '<p style="position: fixed">x</p>',
        "<img src=x>",
    ],
)
def test_a_planted_intrusion_is_found(planted: str) -> None:
    whole = render_fragment(with_model())
    assert intrusions(whole) == []
    assert intrusions(whole.replace("</div>", f"{planted}</div>")) != []
    assert intrusions(f"<div>{planted}</div>") != []


def test_a_verdict_is_text() -> None:
    hostile = "</strong></div><script>alert(1)</script>\x1b[31m\u202e &amp; $x$"
    report = replace(with_model(), verdict=Verdict(hostile))
    assert intrusions(report._repr_html_()) == []
    assert visible(hostile) in " ".join(parsed(report._repr_html_()).texts)


def test_it_shows_the_worst_first_and_says_what_is_left_out() -> None:
    text = comparison(*(f"{name}.weight" for name in LONG))._repr_html_()
    assert "80 of 90 layers left out." in text
    assert text.index("model.layers.89.") < text.index("model.layers.88.")
    assert "model.layers.79." not in text


def test_every_study_shows_its_table() -> None:
    shown = {
        "measured over the inputs": with_model(),
        "worst found": perturbation(),
        "optimizer": training(PROVENANCE, "fromage", "sgd"),
        "spectral norm": dict(CASE_REPORTS)["sensitivity"],
    }
    for heading, report in shown.items():
        assert re.search(rf"<th [^>]*>{heading}</th>", report._repr_html_()), heading


def test_a_missing_number_has_its_reason() -> None:
    assert "the reference is zero, &lt;b&gt;not&lt;/b&gt;" in everything_skipped()._repr_html_()
    assert "softmax has no rule" in with_model()._repr_html_()
    assert "overflows at this level" in perturbation()._repr_html_()


@cases
def test_repr_is_one_short_line(report: Report) -> None:
    assert repr(report).isprintable()
    assert len(repr(report)) <= 220 + len(report.study)
    assert repr(report).startswith(f"<{report.study} report: ")


def test_print_shows_what_the_command_prints() -> None:
    for report in (with_model(), perturbation()):
        assert str(report) == render_text(report)


def test_it_needs_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys\nfrom tests.unit.report.case_reports import CASE_REPORTS\n"
        "shown = [report._repr_html_() for _, report in CASE_REPORTS]\n"
        "print(len(shown), {'torch', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == f"{len(CASE_REPORTS)} set()"
