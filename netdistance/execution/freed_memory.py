"""Memory that was freed, kept for the next array of its size."""

from __future__ import annotations

from functools import cache

import numpy as np

_LARGEST = 1 << 25


@cache
def keep_freed_memory() -> None:
    """Let glibc use the memory of one tile again for the next: fresh pages take longer to get.

    A page that is new to the process costs 1 to 8 ns for each float32 on it, more than most passes
    over it do. glibc gives freed blocks back to the system above a size that rises, up to 32 MiB,
    to that of the largest freed so far (mallopt(3), M_MMAP_THRESHOLD). Nothing is written here, so
    no page is had.
    """
    np.empty(_LARGEST - (1 << 13), dtype=np.uint8)
