"""The one pass over both files: every pair's sums, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from threading import local

import numpy as np

from netdistance.checkpoints.base import Checkpoint
from netdistance.execution.local import default_threads, map_ordered
from netdistance.linalg.sums import LEAF_ELEMENTS, PairSums, Workspace
from netdistance.pairing.match import TensorPair
from netdistance.progress import SILENT, Progress

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
    pieces = list(_pieces(pairs))
    total = sum(pair.a.elements for pair in pairs)
    threads = default_threads() if threads is None else threads
    work = local()

    def sums_of(piece: list[_Span]) -> list[tuple[str, PairSums]]:
        if not hasattr(work, "space"):
            work.space = Workspace()
        return [(span.pair.name, _span_sums(a, b, span, work.space)) for span in piece]

    result: dict[str, PairSums] = {}
    with progress.task("comparing weights", len(pieces)) as advance:
        for part in map_ordered(
            sums_of, pieces, threads=threads if total > _SERIAL_ELEMENTS else 1, advance=advance
        ):
            for name, sums in part:
                result[name] = result[name] + sums if name in result else sums
    return result


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
