"""The report as one strict JSON document."""

from __future__ import annotations

import json

from netdistance.report.document import Report, to_document


def render_json(report: Report) -> bytes:
    """UTF-8 JSON, ASCII-escaped so that no name in it can move a terminal's cursor.

    Raises:
        ValueError: where the report holds NaN or infinity, which strict JSON cannot say.
    """
    # surrogates of undecodable names are legal only when escaped: ensure_ascii keeps them so
    text = json.dumps(to_document(report), allow_nan=False, ensure_ascii=True, indent=1)
    return text.encode("ascii") + b"\n"
