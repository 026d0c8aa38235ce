"""Every form of every case report, by place in CASE_REPORTS: which of them CI draws."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from netdistance.report.renderers import RENDERERS
from tests.unit.report.case_reports import CASE_REPORTS


def every_form() -> list[Any]:
    """A renderer and the place of a report; PNG and PDF, which draw what SVG does, once a study."""
    studies = [report.study for _, report in CASE_REPORTS]
    forms = []
    for renderer, (place, (name, report)) in itertools.product(RENDERERS, enumerate(CASE_REPORTS)):
        again = renderer.name in ("png", "pdf") and report.study in studies[:place]
        marks = [pytest.mark.slow] if again else []
        forms.append(pytest.param(renderer, place, id=f"{renderer.name}-{name}", marks=marks))
    return forms
