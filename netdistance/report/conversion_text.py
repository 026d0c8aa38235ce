"""What stands under the coverage of a pair that was matched by conversions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from netdistance.report.document import TensorRow
from netdistance.report.layout import Lines, paragraph
from netdistance.report.wording import count


def conversions_told(rows: Sequence[TensorRow]) -> str:
    """How many tensors of b were read under another name or another way, and by what; or nothing.

    >>> of = {"shape": (2, 2), "encoding_a": "F32", "encoding_b": "F32", "layer": "", "metrics": {}}
    >>> conversions_told([TensorRow("w", **of, relation="transformed", transform="transposed")])
    '1 tensor of b matched by conversion: 1 transposed.'
    """
    kinds = Counter(kind for row in rows if (kind := _kind(row)))
    if not kinds:
        return ""
    by = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common())
    return f"{count(kinds.total(), 'tensor')} of b matched by conversion: {by}."


def _kind(row: TensorRow) -> str:
    """The transform without its details, such as rotary permutation."""
    transform = row.transform or ""
    if row.relation == "renamed":
        return "tied" if transform.startswith("tied") else "renamed"
    return transform.partition(":")[0].partition(",")[0] if row.relation == "transformed" else ""


def conversion_lines(rows: Sequence[TensorRow]) -> Lines:
    """How b's tensor stands to a's, for each that is not b's own as it lies."""
    lines: Lines = []
    for row in rows:
        if row.relation in ("renamed", "transformed"):
            lines += paragraph(f"{row.name}: {row.transform}", indent="  ")
    return ["how b's tensors were found:", *lines, ""] if lines else []
