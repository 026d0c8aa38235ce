"""The thread count of numpy's BLAS comes back, and proofs do without the setting."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from netdistance.linalg import symbol_norm
from netdistance.linalg.blas_threads import one_blas_thread
from netdistance.linalg.conv_norm import conv_norm


def threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_one_inside_and_as_before_after() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        if set(before) != {2}:
            pytest.skip("this BLAS has no second thread")
        with one_blas_thread():
            with one_blas_thread():
                assert set(threads()) == {1}
            assert set(threads()) == {1}, "the inner one ended it"
        assert threads() == before
        with pytest.raises(KeyError), one_blas_thread():
            raise KeyError
        assert threads() == before


def test_those_that_overlap_end_in_any_order() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        first, second = ExitStack(), ExitStack()
        first.enter_context(one_blas_thread())
        second.enter_context(one_blas_thread())
        first.close()
        assert set(threads()) == {1}
        second.close()
        assert threads() == before


def test_without_the_setting_the_interval_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = np.random.default_rng(0).standard_normal((4, 3, 3, 3))
    there = conv_norm(kernel)
    monkeypatch.setattr(symbol_norm, "one_blas_thread", nullcontext)
    assert conv_norm(kernel).upper == pytest.approx(there.upper, rel=1e-3)
