"""For a project's own tests: assert that two networks hold nearly the same weights.

from netdistance.testing import assert_networks_close

def test_the_export_keeps_the_weights(model, tmp_path):
    export(model, tmp_path / "model.safetensors")
    assert_networks_close(model, tmp_path / "model.safetensors", rounding_of="bf16")
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from netdistance.quantities import Skipped, point
from netdistance.report.audit_rows import AuditRow
from netdistance.report.document import PairingAccount, Report
from netdistance.report.escape import shortened
from netdistance.report.wording import count, percent

if TYPE_CHECKING:
    from netdistance.checkpoints.opening import Source

__all__ = ["assert_networks_close"]

# from the finest to the coarsest
_FORMATS = ("fp32", "fp16", "bf16", "int8", "fp8", "int4")
_OTHERS = ("fp4", "nf4", "mxfp4", "nvfp4")
_SHOWN = 10


def assert_networks_close(
    a: Source,
    b: Source,
    *,
    relative_frobenius: float | None = None,
    rounding_of: str | None = None,
    allow_unmatched: bool = False,
    strip_prefix: str = "",
    rename: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
    skip: tuple[str, ...] = (),
) -> None:
    """Raise AssertionError, with the worst layers, unless b is close to the reference a.

    Each side is a module, a mapping of names to tensors or arrays, a file or a folder. Close is:

    - with `relative_frobenius`, |b - a|_F / |a|_F of every tensor at most this much;
    - with `rounding_of` (fp32, fp16, bf16, int8, fp8, int4, another intN, fp4, nf4, mxfp4, nvfp4),
      every layer lossless or moved as rounding to that format, or to a finer one of the first six,
      does (`netdistance.audit`);
    - with neither, every value identical; with both, both hold.

    What has no partner of its shape, cannot be read or is not finite fails; `allow_unmatched` lets
    pass what only one side holds. `strip_prefix`, `rename`, `only` and `skip` are those of compare.

    >>> import numpy as np
    >>> weight = np.linspace(-1.0, 1.0, 12, dtype=np.float32).reshape(3, 4)
    >>> assert_networks_close({"w": weight}, {"w": weight.astype(np.float64)})
    >>> assert_networks_close({"w": weight}, {"w": 1.5 * weight}, relative_frobenius=0.1)
    Traceback (most recent call last):
    AssertionError: networks differ: 1 of 1 layer beyond relative_frobenius <= 0.1
      w: broken, moved by 50% of its size (moved by 0.5 of its size: nothing that rounding does)

    Raises:
        AssertionError: they are not close.
        CheckpointError: a side cannot be read.
        NothingComparableError: there is nothing that both hold.
        ValueError: a limit below 0, or a format that is none.
    """
    __tracebackhide__ = True  # pytest then shows the line that called, not this function's text
    _require_sense(relative_frobenius, rounding_of)
    # imported here: a test file that is only collected pays for nothing
    from netdistance.studies.audit import AuditOptions, audit

    options = AuditOptions(strip_prefix=strip_prefix, rename=rename, only=only, skip=skip)
    report = audit(a, b, options)
    unmatched = _unmatched(report.pairing, allow_unmatched=allow_unmatched)
    far = _far(report, relative_frobenius)
    rows = [
        row
        for row in report.audit or ()
        if row.layer in far or not _rounds(row, relative_frobenius, rounding_of)
    ]
    if not rows and not unmatched:
        return
    rule = _rule(relative_frobenius, rounding_of)
    lines = [*_few(unmatched, "tensors"), *_few([_told(row) for row in _worst(rows)], "layers")]
    parts = [f"{count(len(unmatched), 'tensor')} not compared"] if unmatched else []
    if rows:
        parts.append(f"{len(rows):,} of {count(len(report.audit or ()), 'layer')} beyond {rule}")
    head = f"networks differ: {', '.join(parts)}"
    raise AssertionError("\n".join([head, *(textwrap.indent(line, "  ") for line in lines)]))


def _require_sense(relative: float | None, rounding_of: str | None) -> None:
    __tracebackhide__ = True
    if relative is not None and not relative >= 0.0:
        raise ValueError(f"relative_frobenius is {relative}, expected 0 or more")
    known = (*_FORMATS, *_OTHERS)
    if rounding_of is None or rounding_of in known or re.fullmatch("int[2-8]", rounding_of):
        return
    raise ValueError(f"rounding_of is {rounding_of!r}, expected one of {', '.join(known)} or intN")


def _few(lines: list[str], what: str) -> list[str]:
    more = [f"and {len(lines) - _SHOWN:,} more {what}"] if len(lines) > _SHOWN else []
    return [*lines[:_SHOWN], *more]


def _rule(relative: float | None, rounding_of: str | None) -> str:
    parts = [f"relative_frobenius <= {relative:g}"] if relative is not None else []
    parts += [f"{rounding_of} rounding"] if rounding_of is not None else []
    return " and ".join(parts) or "identity"


def _far(report: Report, limit: float | None) -> set[str]:
    """The layers with a tensor beyond the limit, or without a distance."""
    if limit is None:
        return set()
    return {
        row.layer
        for row in report.tensors
        if (value := point(row.metrics["relative_frobenius"])) is None or value > limit
    }


def _rounds(row: AuditRow, relative: float | None, rounding_of: str | None) -> bool:
    """Whether the verdict is one that was asked for; what faces nothing is said elsewhere."""
    if row.verdict in ("lossless", "not_compared"):
        return True
    if rounding_of is None:
        return relative is not None
    if row.verdict != "rounding":
        return False
    if row.rounding_of == rounding_of:
        return True
    known = {name: place for place, name in enumerate(_FORMATS)}
    return known.get(row.rounding_of or "", len(known)) <= known.get(rounding_of, -1)


def _unmatched(account: PairingAccount | None, *, allow_unmatched: bool) -> list[str]:
    if account is None:
        return []
    lines = [
        f"{row.name}: shape {row.shape_a} in a and {row.shape_b} in b" for row in account.reshaped
    ]
    lines += [f"{shortened(row.name, 60)}: {row.reason}" for row in account.skipped]
    if not allow_unmatched:
        lines += [f"{shortened(name, 60)} is only in a" for name in account.only_a]
        lines += [f"{shortened(name, 60)} is only in b" for name in account.only_b]
    return lines


def _worst(rows: list[AuditRow]) -> list[AuditRow]:
    def distance(row: AuditRow) -> float:
        value = point(row.distance)
        return float("inf") if value is None else value

    return sorted(rows, key=distance, reverse=True)


def _told(row: AuditRow) -> str:
    change = row.distance
    moved = change.reason if isinstance(change, Skipped) else percent(point(change) or 0.0)
    what = f"{shortened(row.layer, 60)}: {row.verdict.replace('_', ' ')}"
    if row.verdict == "rounding":
        what += f" of {row.rounding_of}"
    if isinstance(change, Skipped):
        return f"{what}, {moved}"
    return f"{what}, moved by {moved} of its size" + (f" ({row.reason})" if row.reason else "")
