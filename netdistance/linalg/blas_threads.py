"""One thread for numpy's matrix products and factorisations, for as long as many small ones run.

OpenBLAS hands a Cholesky factorisation of order 64 to all its threads, and waiting for them takes
longer than the work: 30 times on two idle cores, 80 times on two busy ones.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

_lock = threading.Lock()
_inside: list[threadpool_limits] = []


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within it BLAS uses one thread; after the last of several at once, as many as before.

    The setting is the process's, so the first of several threads sets it and the last undoes it.
    With a BLAS that threadpoolctl does not know nothing changes: results stay valid, some slow.
    """
    with _lock:
        limits = _inside[0] if _inside else threadpool_limits(limits=1, user_api="blas")
        _inside.append(limits)
    try:
        yield
    finally:
        with _lock:
            _inside.pop()
            if not _inside:
                limits.restore_original_limits()
