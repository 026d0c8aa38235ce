"""The one pass over both files: every pair's sums, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from threading import local
from typing import Any, Protocol, TypeVar

import numpy as np

from netdistance.checkpoints.base import Checkpoint
from netdistance.distances.noise_floor import LEAST_SCALE, has_rows
from netdistance.execution.local import default_threads, map_ordered
from netdistance.linalg.leaves import LEAF_ELEMENTS
from netdistance.linalg.rounding_sums import RoundingSums
from netdistance.linalg.sums import PairSums, Workspace
from netdistance.pairing.match import TensorPair
from netdistance.progress import SILENT, Advance, Progress

# one piece of work: 16 MiB of float32 a side, so that threads share a large tensor
_PIECE_ELEMENTS = 64 * LEAF_ELEMENTS
# below this, threads only fight over the interpreter lock
_SERIAL_ELEMENTS = 16 * LEAF_ELEMENTS


@dataclass(frozen=True, slots=True)
class _Span:
    """Elements start:stop of a pair; start is a whole number of leaves."""

    pair: TensorPair
    start: int
    stop: int


def stream_sums(
    a: Checkpoint,
    b: Checkpoint,
    pairs: tuple[TensorPair, ...],
    *,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> dict[str, PairSums]:
    """The sums of every readable pair, by name; the same bits for any number of threads.

    Raises:
        CheckpointError: a file ended early or cannot be read.
    """
    work = local()

    def sums_of(span: _Span) -> PairSums:
        if not hasattr(work, "space"):
            work.space = Workspace()
        return _span_sums(a, b, span, work.space)

    with progress.task("comparing weights", _piece_count(pairs)) as advance:
        return _streamed(pairs, sums_of, threads, advance)


def stream_rounding(
    a: Checkpoint,
    pairs: tuple[TensorPair, ...],
    sums: Mapping[str, PairSums],
    *,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> dict[str, RoundingSums]:
    """What rounding a would cost, for each weight that moved and has a scale, by name.

    A second pass over a alone: fp8 scales a tensor by its largest element, which the first found.

    Raises:
        CheckpointError: the file ended early or cannot be read.
    """
    moved = tuple(pair for pair in pairs if has_rows(pair) and _has_moved(sums.get(pair.name)))

    def sums_of(span: _Span) -> RoundingSums:
        pair = span.pair
        row, largest = pair.a.elements // pair.a.shape[0], sums[pair.name].max_abs_a
        offset, total = span.start, None
        for block in a.blocks(pair.name, start=span.start, stop=span.stop):
            part = RoundingSums.of(block, offset, row, largest)
            total = part if total is None else total + part
            offset += block.size
        assert total is not None
        return total

    with progress.task("rounding for comparison", _piece_count(moved)) as advance:
        return _streamed(moved, sums_of, threads, advance)


def _has_moved(sums: PairSums | None) -> bool:
    return (
        sums is not None
        and sums.finite
        and sums.changed > 0
        and LEAST_SCALE < sums.max_abs_a < 1.0 / LEAST_SCALE
    )


class _Mergeable(Protocol):
    def __add__(self, other: Any) -> Any: ...


_Sums = TypeVar("_Sums", bound=_Mergeable)


def _streamed(
    pairs: tuple[TensorPair, ...],
    sums_of: Callable[[_Span], _Sums],
    threads: int | None,
    advance: Advance,
) -> dict[str, _Sums]:
    """The sums of every pair, made span by span and added in order."""
    total = sum(pair.a.elements for pair in pairs)
    threads = default_threads() if threads is None else threads

    def of_piece(piece: list[_Span]) -> list[tuple[str, _Sums]]:
        return [(span.pair.name, sums_of(span)) for span in piece]

    result: dict[str, _Sums] = {}
    for part in map_ordered(
        of_piece,
        list(_pieces(pairs)),
        threads=threads if total > _SERIAL_ELEMENTS else 1,
        advance=advance,
    ):
        for name, sums in part:
            result[name] = result[name] + sums if name in result else sums
    return result


def _piece_count(pairs: tuple[TensorPair, ...]) -> int:
    return sum(1 for _ in _pieces(pairs))


def _pieces(pairs: tuple[TensorPair, ...]) -> Iterator[list[_Span]]:
    """Spans in name order, packed so that a piece is one large span or many small ones."""
    piece: list[_Span] = []
    size = 0
    for pair in pairs:
        if pair.unreadable is not None:
            continue
        for start in range(0, max(pair.a.elements, 1), _PIECE_ELEMENTS):
            stop = min(start + _PIECE_ELEMENTS, pair.a.elements)
            piece.append(_Span(pair, start, stop))
            size += stop - start + LEAF_ELEMENTS // 16  # a small tensor costs time as well
            if size >= _PIECE_ELEMENTS:
                yield piece
                piece, size = [], 0
    if piece:
        yield piece


def _span_sums(a: Checkpoint, b: Checkpoint, span: _Span, work: Workspace) -> PairSums:
    name = span.pair.name
    blocks = zip(
        a.blocks(name, start=span.start, stop=span.stop),
        b.blocks(name, start=span.start, stop=span.stop),
        strict=True,
    )
    if span.pair.a.dtype.kind in ("integer", "bool"):
        counts = [(x.size, int(np.count_nonzero(x != y))) for x, y in blocks]
        return PairSums(elements=sum(n for n, _ in counts), changed=sum(c for _, c in counts))
    return reduce(add, (PairSums.of(x, y, work) for x, y in blocks), PairSums())
