"""The one pass over both files: every pair's sums, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from threading import local
from types import MappingProxyType
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import Checkpoint
from netdistance.distances.grids import grids_of
from netdistance.distances.noise_floor import LEAST_SCALE, Rounding, has_rows
from netdistance.execution.local import default_threads, map_ordered
from netdistance.execution.processes import may_fork
from netdistance.linalg.leaves import BATCH_ELEMENTS, LEAF_ELEMENTS
from netdistance.linalg.rounding_sums import RoundingSums, RoundingWorkspace
from netdistance.linalg.sign_counts import SignCounts
from netdistance.linalg.sums import PairSums, Workspace
from netdistance.pairing.match import TensorPair
from netdistance.progress import SILENT, Progress

NO_SCALES: Mapping[str, float] = MappingProxyType({})
# one piece of work: 16 MiB of float32 a side, so that threads share a large tensor
_PIECE_ELEMENTS = 64 * LEAF_ELEMENTS
# below this, workers cost more than they gain
_SERIAL_ELEMENTS = 16 * LEAF_ELEMENTS
# in tensors below this, threads only fight over the interpreter lock
_SMALL_ELEMENTS = LEAF_ELEMENTS // 4
# a tensor costs as much time as so many elements, however small it is
_TENSOR_ELEMENTS = LEAF_ELEMENTS // 2


@dataclass(frozen=True, slots=True)
class _Span:
    """Elements start:stop of a pair; start is a whole number of leaves."""

    pair: TensorPair
    start: int
    stop: int

    def blocks(self, side: Checkpoint) -> Iterator[NDArray[Any]]:
        """Its elements in one of the checkpoints."""
        return side.blocks(self.pair.name, start=self.start, stop=self.stop, size=BATCH_ELEMENTS)


def stream_sums(
    a: Checkpoint,
    b: Checkpoint,
    pairs: tuple[TensorPair, ...],
    *,
    signs: bool = False,
    scales: Mapping[str, float] = NO_SCALES,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> dict[str, PairSums]:
    """The sums of every readable pair, by name; the same bits for any number of threads.

    `signs` also counts signs and zeros. A tensor of a that has a scale is multiplied by it first.

    Raises:
        CheckpointError: a file ended early or cannot be read.
    """

    def sums_of(span: _Span, work: Workspace) -> PairSums:
        scale = scales.get(span.pair.name, 1.0)
        return _span_sums(a, b, span, work, signs, scale)

    stream = _Stream("comparing weights", sums_of, Workspace)
    return stream.over(pairs, threads, progress)


def stream_rounding(
    a: Checkpoint,
    pairs: tuple[TensorPair, ...],
    sums: Mapping[str, PairSums],
    *,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> dict[str, Rounding]:
    """What rounding a would cost, for each weight that moved and has a scale, by name.

    A second pass over a alone: fp8 scales a tensor by its largest element, which the first found.

    Raises:
        CheckpointError: the file ended early or cannot be read.
    """
    moved = tuple(pair for pair in pairs if has_rows(pair) and _has_moved(sums.get(pair.name)))

    def sums_of(span: _Span, work: RoundingWorkspace) -> Rounding:
        pair, parts = span.pair, []
        row, largest = pair.a.elements // pair.a.shape[0], sums[pair.name].max_abs_a
        offset = span.start
        for block in span.blocks(a):
            parts.append(RoundingSums.of(block, offset, row, largest, work))
            offset += block.size
        grids = frozenset[str]() if span.start else grids_of(a, pair, largest)
        return Rounding(RoundingSums.joined(parts), grids)

    stream = _Stream("rounding for comparison", sums_of, RoundingWorkspace)
    return stream.over(moved, threads, progress)


def _has_moved(sums: PairSums | None) -> bool:
    return (
        sums is not None
        and sums.finite
        and sums.changed > 0
        and LEAST_SCALE < sums.max_abs_a < 1.0 / LEAST_SCALE
    )


class _Mergeable(Protocol):
    def __add__(self, other: Self) -> Self: ...


_Sums = TypeVar("_Sums", bound=_Mergeable)
_Work = TypeVar("_Work")


@dataclass(frozen=True, slots=True)
class _Stream(Generic[_Sums, _Work]):
    """One pass: what becomes of a span, given the buffers of the thread that has it."""

    task: str
    sums_of: Callable[[_Span, _Work], _Sums]
    buffers: Callable[[], _Work]

    def over(
        self, pairs: tuple[TensorPair, ...], threads: int | None, progress: Progress
    ) -> dict[str, _Sums]:
        """The sums of every pair, made span by span and added in order."""
        mine = local()

        def of_piece(piece: list[_Span]) -> list[tuple[str, _Sums]]:
            if not hasattr(mine, "work"):
                mine.work = self.buffers()
            return [(span.pair.name, self.sums_of(span, mine.work)) for span in piece]

        pieces = list(_pieces(pairs))
        threads = default_threads() if threads is None else threads
        result: dict[str, _Sums] = {}
        with progress.task(self.task, len(pieces)) as advance:
            parts = map_ordered(
                of_piece,
                pieces,
                threads=threads if _is_long(pairs) else 1,
                advance=advance,
                name_of=lambda piece: f"tensor {piece[0].pair.name!r}",
            )
        for name, sums in chain.from_iterable(parts):
            result[name] = result[name] + sums if name in result else sums
        return result


def _is_long(pairs: tuple[TensorPair, ...]) -> bool:
    """Whether workers pay."""
    least = 0 if may_fork() else _SMALL_ELEMENTS
    elements = (pair.a.elements for pair in pairs)
    return sum(n + _TENSOR_ELEMENTS for n in elements if n >= least) > _SERIAL_ELEMENTS


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
            size += stop - start + _TENSOR_ELEMENTS
            if size >= _PIECE_ELEMENTS:
                yield piece
                piece, size = [], 0
    if piece:
        yield piece


def _span_sums(
    a: Checkpoint, b: Checkpoint, span: _Span, work: Workspace, signs: bool, scale: float
) -> PairSums:
    blocks = zip(span.blocks(a), span.blocks(b), strict=True)
    if span.pair.a.dtype.kind in ("integer", "bool"):
        return PairSums.joined([_equality(x, y, signs=signs) for x, y in blocks])
    return PairSums.joined([PairSums.of(x, y, work, signs=signs, scale=scale) for x, y in blocks])


def _equality(x: NDArray[Any], y: NDArray[Any], *, signs: bool) -> PairSums:
    return PairSums(
        elements=x.size,
        changed=int(np.count_nonzero(x != y)),
        signs=SignCounts.of(x, y) if signs else None,
    )
