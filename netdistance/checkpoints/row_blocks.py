"""A tensor that is made a few rows at a time, in the blocks that a checkpoint yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.execution.freed_memory import keep_freed_memory

# made at a time: 2 MiB of float32; 8 take half as long again, in memory and not in the cache
TILE_ELEMENTS = 1 << 19


def row_blocks(
    rows: Callable[[int, int], NDArray[Any]],
    columns: int,
    start: int,
    stop: int,
    size: int,
    *,
    tile_elements: int = TILE_ELEMENTS,
) -> Iterator[NDArray[Any]]:
    """Elements start:stop in blocks of `size`; `rows(first, last)` has (last - first, columns)."""
    keep_freed_memory()
    at_once, held = max(1, tile_elements // columns), range(0)
    tile = np.empty(0, dtype=np.float32)
    for begin in range(start, stop, size):
        parts, end = [], min(begin + size, stop)
        while begin < end:
            if begin not in held:
                first = begin // columns
                last = min(first + at_once, -(-stop // columns))
                tile, held = rows(first, last).reshape(-1), range(first * columns, last * columns)
            parts.append(tile[begin - held.start : end - held.start])
            begin += parts[-1].size
        yield parts[0] if len(parts) == 1 else np.concatenate(parts)
