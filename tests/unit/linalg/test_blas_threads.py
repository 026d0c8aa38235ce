"""The thread count of numpy's BLAS comes back, and proofs do without the setting."""

from __future__ import annotations

import numpy as np
import pytest

from netdistance.linalg import blas_threads as module
from netdistance.linalg.blas_threads import one_blas_thread
from netdistance.linalg.conv_norm import conv_norm


class Fake:
    def __init__(self) -> None:
        self.threads = 7

    def get(self) -> int:
        return self.threads

    def put(self, count: int) -> None:
        self.threads = count


def test_one_inside_and_as_before_after(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake()
    monkeypatch.setattr(module, "_openblas", lambda: (fake.get, fake.put))
    with one_blas_thread():
        with one_blas_thread():
            assert fake.threads == 1
        assert fake.threads == 1, "the inner one ended it"
    assert fake.threads == 7
    with pytest.raises(KeyError), one_blas_thread():
        raise KeyError
    assert fake.threads == 7


def test_numpys_own_openblas_is_found() -> None:
    if "openblas" not in str(np.__config__.CONFIG["Build Dependencies"]["blas"]["name"]):
        pytest.skip("numpy uses another BLAS")
    control = module._openblas()
    assert control is not None
    before = control[0]()
    with one_blas_thread():
        assert control[0]() == 1
    assert control[0]() == before


def test_without_openblas_the_interval_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = np.random.default_rng(0).standard_normal((4, 3, 3, 3))
    there = conv_norm(kernel)
    monkeypatch.setattr(module, "_openblas", lambda: None)
    assert conv_norm(kernel).upper == pytest.approx(there.upper, rel=1e-3)


def test_a_library_that_cannot_be_opened_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> None:
        raise OSError

    monkeypatch.setattr(module.ctypes, "CDLL", refuse)
    assert module._openblas() is None
