"""The verdict of each layer, from the verdicts on its tensors and from what faces nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from netdistance.checkpoints.base import Checkpoint, TensorSpec
from netdistance.distances.damage import TensorVerdict, judge_tensor
from netdistance.distances.measure import Measured, is_identical
from netdistance.execution.local import default_threads, map_ordered
from netdistance.pairing.layers import layer_of
from netdistance.pairing.match import Pairing, TensorPair, natural_key
from netdistance.progress import Progress
from netdistance.quantities import Exact, Quantity, Skipped, point
from netdistance.report.audit_rows import AuditRow, AuditVerdict

# the worst of a layer's tensors is the layer's
_WORST: tuple[AuditVerdict, ...] = (
    "broken", "more_than_rounding", "not_compared", "rounding", "lossless",
)  # fmt: skip
NEEDS_MODEL = Skipped("needs --model and --inputs")
_NO_WEIGHTS = ("I64", "BOOL")  # no quantiser stores codes in them
_LARGE = 1 << 20  # elements, from which more than one worker pays

Judged = tuple[TensorSpec | None, TensorSpec | None, TensorVerdict, float]  # a, b, and |a|


def judge_layers(
    a: Checkpoint,
    b: Checkpoint,
    pairing: Pairing,
    measured: Mapping[str, Measured],
    *,
    threads: int | None,
    progress: Progress,
) -> tuple[AuditRow, ...]:
    """A row for every layer of either side, in natural order; what faces nothing is a row too.

    Reads again what moved, once for each floor that it is held against.

    Raises:
        CheckpointError: a file ended early or cannot be read.
    """
    verdicts = _judge_tensors(a, b, pairing, measured, threads, progress)
    layers: dict[str, list[Judged]] = {}
    for name, judged in [*verdicts.items(), *_unpaired(a, b, pairing)]:
        layers.setdefault(layer_of(name), []).append(judged)
    beside = _extra_keys(pairing)
    rows = (_row(layer, members, beside) for layer, members in layers.items())
    return tuple(sorted(rows, key=lambda row: natural_key(row.layer)))


def _judge_tensors(
    a: Checkpoint,
    b: Checkpoint,
    pairing: Pairing,
    measured: Mapping[str, Measured],
    threads: int | None,
    progress: Progress,
) -> dict[str, Judged]:
    def judged(one: TensorPair) -> TensorVerdict:
        return judge_tensor(a, b, one, measured[one.name].sums)

    pairs = pairing.pairs
    moved = [one for one in pairs if not is_identical(measured[one.name].sums)]
    many = sum(one.a.elements for one in moved) >= _LARGE
    count = (default_threads() if threads is None else threads) if many else 1
    with progress.task("judging what moved", len(moved)) as advance:
        found = map_ordered(
            judged, moved, threads=count, advance=advance, name_of=lambda one: one.name
        )
    by_name = dict(zip((one.name for one in moved), found, strict=True))
    return {
        one.name: (
            one.a,
            one.b,
            by_name.get(one.name, TensorVerdict("lossless")),
            sums.a.norm if (sums := measured[one.name].sums) is not None else 0.0,
        )
        for one in pairs
    }


def _unpaired(a: Checkpoint, b: Checkpoint, pairing: Pairing) -> list[tuple[str, Judged]]:
    """The tensors that cannot be judged, because nothing of their shape faces them.

    Positions and counters that b leaves out are no part of its weights; coverage names them.
    """
    found: list[tuple[str, Judged]] = []
    for side, names, specs in (
        ("a", pairing.only_a, a.specs),
        ("b", pairing.only_b, b.specs),
    ):
        for name in names:
            if side == "a" and specs[name].encoding in _NO_WEIGHTS:
                continue
            why = f"{name} is only in {side}"
            verdict = TensorVerdict("not_compared", why, distance=Skipped(why))
            sides = (specs[name], None) if side == "a" else (None, specs[name])
            found.append((name, (*sides, verdict, 0.0)))
    for one in pairing.reshaped:
        why = f"{one.name} has shape {one.a.shape} in a and {one.b.shape} in b"
        verdict = TensorVerdict("not_compared", why, distance=Skipped(why))
        found.append((one.name, (one.a, one.b, verdict, 0.0)))
    return found


def _extra_keys(pairing: Pairing) -> dict[str, str]:
    """A name of b alone for each layer under which it lies: what it holds may be the layer's."""
    found: dict[str, str] = {}
    for name in pairing.only_b:
        parts = name.split(".")
        for end in range(1, len(parts)):
            found.setdefault(".".join(parts[:end]), name)
    return found


def _row(layer: str, members: Sequence[Judged], beside: Mapping[str, str]) -> AuditRow:
    worst = min((verdict for *_, verdict, _ in members), key=lambda v: _WORST.index(v.verdict))
    verdict, reason = worst.verdict, worst.reason
    if verdict == "lossless" and layer in beside:
        # identical numbers beside keys that nothing faces are no proof: they may be what is used
        verdict, reason = "not_compared", f"{beside[layer]} is only in b, and may be what is used"
    weights = [m for m in members if _is_weight(m)] or list(members)
    stored = [b for _, b, _, _ in weights if b is not None]
    elements = sum(spec.elements for spec in stored)
    judged_by = [m[2] for m in weights if m[2].rounding_of] or [worst]
    return AuditRow(
        layer=layer,
        scheme=max(stored, key=lambda spec: spec.nbytes).encoding if stored else "not stored",
        rounding_of=worst.rounding_of or judged_by[0].rounding_of,
        bits_per_weight=8.0 * sum(s.nbytes for s in stored) / elements if elements else None,
        distance=_distance(weights),
        measured=NEEDS_MODEL,
        verdict=verdict,
        reason=reason,
        floor=_floor(weights),
    )


def _is_weight(member: Judged) -> bool:
    spec = member[0] or member[1]
    return spec is not None and spec.is_weight


def _distance(members: Sequence[Judged]) -> Quantity:
    """|b - a| / |a| over all of them together; skipped where one has none."""
    for *_, verdict, _ in members:
        if isinstance(verdict.distance, Skipped):
            return verdict.distance
    return _together([((point(v.distance) or 0.0) * size, size) for *_, v, size in members])


def _floor(members: Sequence[Judged]) -> Quantity | None:
    """The same of rounding, where it is known of all that moved."""
    moved = [(v, size) for *_, v, size in members if v.verdict != "lossless"]
    if not moved or any(verdict.floor is None for verdict, _ in moved):
        return None
    sizes = [size for *_, size in members]
    return _together([((v.floor or 0.0) * size, size) for v, size in moved], sizes)


def _together(parts: Sequence[tuple[float, float]], sizes: Sequence[float] = ()) -> Quantity:
    """Norms of parts joined, over the norm of all."""
    change = math.hypot(*(part for part, _ in parts))
    size = math.hypot(*(sizes or [size for _, size in parts]))
    ratio = change / size if size else 0.0
    return Exact(ratio) if math.isfinite(ratio) else Skipped("exceeds float64")
