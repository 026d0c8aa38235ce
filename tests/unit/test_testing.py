"""`netdistance.testing`: what passes, what fails, and what a failure says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from netdistance.testing import assert_networks_close

DRAW = np.random.default_rng(0)
BASE = {
    "one.weight": DRAW.standard_normal((16, 64)).astype(np.float32),
    "one.bias": DRAW.standard_normal(16).astype(np.float32),
    "two.weight": DRAW.standard_normal((8, 16)).astype(np.float32),
}
HALF = {name: value.astype(np.float16) for name, value in BASE.items()}


def test_identity_is_the_default(tmp_path: Path) -> None:
    save_file(BASE, tmp_path / "b.safetensors")
    assert_networks_close(BASE, tmp_path / "b.safetensors")
    with pytest.raises(AssertionError, match="2 of 2 layers beyond identity") as found:
        assert_networks_close(BASE, HALF)
    assert "one: rounding of fp16, moved by" in str(found.value)


def test_modules_are_compared() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(4, 3)
    assert_networks_close(module, {n: t.clone() for n, t in module.state_dict().items()})


def test_rounding_and_distance() -> None:
    assert_networks_close(BASE, HALF, rounding_of="fp16")
    assert_networks_close(BASE, HALF, rounding_of="bf16")
    assert_networks_close(BASE, HALF, relative_frobenius=1e-3)
    with pytest.raises(AssertionError, match=r"beyond relative_frobenius <= 1e-09"):
        assert_networks_close(BASE, HALF, relative_frobenius=1e-9, rounding_of="bf16")
    with pytest.raises(AssertionError, match="beyond fp32 rounding"):
        assert_networks_close(BASE, HALF, rounding_of="fp32")


def test_the_damaged_layer_is_named() -> None:
    worse = HALF | {"two.weight": HALF["two.weight"] * np.float16(1.25)}
    with pytest.raises(AssertionError) as found:
        assert_networks_close(BASE, worse, rounding_of="bf16")
    head, line = str(found.value).splitlines()
    assert head == "networks differ: 1 of 2 layers beyond bf16 rounding"
    assert line.startswith("  two: more than rounding, moved by 25% of its size (moved ")


@pytest.mark.parametrize("side", ["a", "b"])
def test_what_faces_nothing_fails_unless_allowed(side: str) -> None:
    less = {name: value for name, value in BASE.items() if name != "one.bias"}
    pair = (BASE, less) if side == "a" else (less, BASE)
    with pytest.raises(AssertionError, match=f"one.bias is only in {side}"):
        assert_networks_close(*pair)
    assert_networks_close(*pair, allow_unmatched=True)


def test_another_shape_and_nan_always_fail() -> None:
    other = BASE | {"two.weight": np.zeros((8, 15), np.float32)}
    with pytest.raises(
        AssertionError, match=r"two.weight: shape \(8, 16\) in a and \(8, 15\) in b"
    ):
        assert_networks_close(BASE, other, allow_unmatched=True, relative_frobenius=10.0)
    nan = BASE | {"two.weight": np.full((8, 16), np.nan, np.float32)}
    with pytest.raises(AssertionError, match="two: broken"):
        assert_networks_close(BASE, nan, relative_frobenius=10.0)


def test_a_limit_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 or more"):
        assert_networks_close(BASE, BASE, relative_frobenius=-1.0)
    with pytest.raises(ValueError, match="expected 0 or more"):
        assert_networks_close(BASE, BASE, relative_frobenius=float("nan"))


def test_a_format_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="rounding_of is 'int-4', expected one of fp32, fp16"):
        assert_networks_close(BASE, BASE, rounding_of="int-4")
    assert_networks_close(BASE, BASE, rounding_of="int3")


def test_the_head_counts_what_failed_and_nothing_else() -> None:
    less = {name: value for name, value in BASE.items() if name != "one.bias"}
    with pytest.raises(AssertionError) as found:
        assert_networks_close(BASE, less)
    head, *_ = str(found.value).splitlines()
    assert head == "networks differ: 1 tensor not compared"


def test_a_failure_shows_the_line_that_called() -> None:
    with pytest.raises(AssertionError) as found:
        assert_networks_close(BASE, HALF)
    last = found.traceback[-1]
    assert last.frame.f_locals["__tracebackhide__"] is True
