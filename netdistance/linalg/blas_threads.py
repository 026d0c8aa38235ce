"""One thread for numpy's matrix products and factorisations, for as long as many small ones run.

OpenBLAS hands a Cholesky factorisation of order 64 to all its threads, and waiting for them takes
longer than the work: 30 times on two idle cores, 80 times on two busy ones.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

# numpy's own wheels rename OpenBLAS and append the width of its integers
_NAMES = [
    f"{prefix}openblas_{{}}_num_threads{suffix}"
    for prefix in ("scipy_", "")
    for suffix in ("64_", "_64", "")
]
_lock, _inside, _before = threading.Lock(), 0, 1


def _openblas() -> tuple[Callable[[], int], Callable[[int], object]] | None:
    """OpenBLAS's own getter and setter, or nothing where numpy uses another library."""
    module = getattr(np.linalg, "_umath_linalg", None)
    try:  # symbols of the libraries that an extension module is linked with are found through it
        library = ctypes.CDLL(module.__file__)  # type: ignore[union-attr]
    except (AttributeError, TypeError, OSError):
        return None
    for name in _NAMES:
        if hasattr(library, name.format("get")) and hasattr(library, name.format("set")):
            return getattr(library, name.format("get")), getattr(library, name.format("set"))
    return None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within it OpenBLAS uses one thread; after the last of several at once, as many as before.

    The setting is the process's. With another BLAS nothing changes: results stay valid, some slow.
    """
    global _inside, _before
    control = _openblas()
    if control is None:
        yield
        return
    get, put = control
    with _lock:
        if not _inside:
            _before = get()
            put(1)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                put(_before)
