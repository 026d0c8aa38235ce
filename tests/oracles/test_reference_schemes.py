"""Our simulated weights against the libraries that store them so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from netdistance.compression.schemes import scheme_of
from tests.laws.test_schemes import simulated, weights

SHAPES = [(40, 64), (7, 13), (3, 4, 5, 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["nf4", "fp4"])
def test_four_bits_as_bitsandbytes(name: str, shape: tuple[int, ...]) -> None:
    functional = pytest.importorskip("bitsandbytes.functional")
    weight = weights(shape)
    packed, state = functional.quantize_4bit(
        torch.from_numpy(weight), blocksize=64, quant_type=name
    )
    reference = functional.dequantize_4bit(packed, state).numpy()
    np.testing.assert_array_equal(simulated(scheme_of(name), weight), reference)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_fp8_as_torch(shape: tuple[int, ...]) -> None:
    weight = weights(shape)
    scale = torch.from_numpy(np.abs(weight).max(keepdims=True)).reshape(1) / 448.0
    codes = (torch.from_numpy(weight) / scale).to(torch.float8_e4m3fn)
    found = simulated(scheme_of("fp8"), weight)
    np.testing.assert_array_equal(found, (codes.float() * scale).numpy())


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_short_floats_as_torch(name: str) -> None:
    bits = np.random.default_rng(0).integers(0, 1 << 32, 4096, dtype=np.uint64).astype(np.uint32)
    weight = bits.view(np.float32).reshape(64, 64)
    weight = np.where(np.isfinite(weight), weight, 1.0).astype(np.float32)
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}[name]
    reference = torch.from_numpy(weight).to(kind).float().numpy()
    np.testing.assert_array_equal(simulated(scheme_of(name), weight), reference)


@pytest.mark.parametrize(("name", "width", "group"), [("int8", 8, None), ("int4-g16", 4, 16)])
def test_integers_as_compressed_tensors(name: str, width: int, group: int | None) -> None:
    forward = pytest.importorskip("compressed_tensors.quantization.lifecycle.forward")
    from compressed_tensors.quantization import QuantizationArgs

    weight = weights((10, 64))
    strategy = "channel" if group is None else "group"
    args = QuantizationArgs(num_bits=width, strategy=strategy, group_size=group, symmetric=True)
    scheme = scheme_of(name)
    scale = torch.from_numpy(scheme.encode(weight)["scale"])
    zero = torch.zeros_like(scale)
    reference = forward.fake_quantize(torch.from_numpy(weight), scale, zero, args)
    np.testing.assert_array_equal(simulated(scheme, weight), reference.numpy())


def test_mxfp4_by_its_definition() -> None:
    """Element by element: the power of two below the largest, over 4, and the nearest of 8."""
    weight = weights((3, 70))
    found = simulated(scheme_of("mxfp4"), weight)
    grid = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
    for row, ours in zip(weight, found, strict=True):
        for start in range(0, 70, 32):
            part = row[start : start + 32].astype(np.float64)
            power = 2.0 ** (np.floor(np.log2(np.abs(part).max())) - 2)
            for x, y in zip(part, ours[start : start + 32], strict=True):
                nearest = min(grid, key=lambda v: abs(abs(x) / power - v))
                assert y == np.sign(x) * nearest * power
