"""Weights as the libraries' own quantisers round them are `rounding`; what was damaged is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from netdistance.checkpoints.state_dict import StateDictCheckpoint
from netdistance.distances.damage import TensorVerdict, judge_tensor
from netdistance.distances.stream import stream_sums
from netdistance.pairing.match import pair_tensors

Array = np.ndarray
# a trained layer has heavier tails than a normal one; neither 64 nor 128 divides 416 or 130
WEIGHT = np.random.default_rng(0).standard_t(5, (96, 416)).astype(np.float32)
RAGGED = WEIGHT[:50, :130].copy()


def symmetric(bits: int, axis: int | None) -> Array:
    top = 2 ** (bits - 1) - 1
    scale = np.abs(WEIGHT).max(axis=axis, keepdims=True) / np.float32(top)
    return np.rint(WEIGHT / scale) * scale


def with_zero_points() -> Array:
    low, high = WEIGHT.min(axis=1, keepdims=True), WEIGHT.max(axis=1, keepdims=True)
    scale = (high - low) / np.float32(255)
    zero = np.rint(-128 - low / scale)
    return (np.clip(np.rint(WEIGHT / scale) + zero, -128, 127) - zero) * scale


def fp8(scale: Array, top: float, dtype: torch.dtype) -> Array:
    scale = scale / np.float32(top)
    return torch.from_numpy(WEIGHT / scale).to(dtype).float().numpy() * scale


def in_blocks(size: int) -> Array:
    found = np.empty_like(WEIGHT)
    for row in range(0, 96, size):
        for column in range(0, 416, size):
            part = np.s_[row : row + size, column : column + size]
            found[part] = np.abs(WEIGHT[part]).max()
    return found


def nvfp4() -> Array:
    """Scales of 16 elements in e4m3 under one scale of the tensor, as NVIDIA's recipe has it."""
    groups = WEIGHT.reshape(-1, 16)
    whole = np.abs(groups).max() / np.float32(448 * 6)
    scale = torch.from_numpy(np.abs(groups).max(1, keepdims=True) / 6 / whole)
    scale = scale.to(torch.float8_e4m3fn).float().numpy() * whole
    levels = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
    nearest = np.abs(np.abs(groups / scale)[..., None] - levels).argmin(-1)
    return (np.sign(groups) * levels[nearest] * scale).reshape(WEIGHT.shape)


def by_gguf(name: str) -> Array:
    gguf = pytest.importorskip("gguf")
    kind = gguf.GGMLQuantizationType[name]
    return gguf.quants.dequantize(gguf.quants.quantize(WEIGHT, kind), kind)


def by_bitsandbytes(kind: str, *, nested: bool) -> Array:
    functional = pytest.importorskip("bitsandbytes.functional")
    codes, state = functional.quantize_4bit(
        torch.from_numpy(RAGGED), quant_type=kind, blocksize=64, compress_statistics=nested
    )
    return functional.dequantize_4bit(codes, state).numpy()


E4M3, E5M2 = torch.float8_e4m3fn, torch.float8_e5m2
ROUNDED: dict[str, Callable[[], Array]] = {
    "int8, one scale": lambda: symmetric(8, None),
    "int8, a scale per output": lambda: symmetric(8, 1),
    "int8, a scale per output, zero points": with_zero_points,
    "bitsandbytes int8, a scale per row": lambda: symmetric(8, 1),
    "pack-quantized int8, one scale": lambda: symmetric(8, None),
    "pack-quantized int4, one scale": lambda: symmetric(4, None),
    "pack-quantized int4, a scale per output": lambda: symmetric(4, 1),
    "fp8 e4m3, one scale": lambda: fp8(np.abs(WEIGHT).max(), 448.0, E4M3),
    "fp8 e5m2, one scale": lambda: fp8(np.abs(WEIGHT).max(), 57344.0, E5M2),
    "fp8 e4m3, a scale per output": lambda: fp8(np.abs(WEIGHT).max(1, keepdims=True), 448.0, E4M3),
    "fp8 e4m3, a scale per 32 x 32": lambda: fp8(in_blocks(32), 448.0, E4M3),
    "fp8 e4m3, a scale per 128 x 128": lambda: fp8(in_blocks(128), 448.0, E4M3),
    "nvfp4, groups of 16": nvfp4,
    **{name: lambda name=name: by_gguf(name) for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")},
    "MXFP4": lambda: by_gguf("MXFP4"),
    "F16": lambda: WEIGHT.astype(np.float16).astype(np.float32),
    "BF16": lambda: torch.from_numpy(WEIGHT).bfloat16().float().numpy(),
    "bitsandbytes nf4, blocks of 64": lambda: by_bitsandbytes("nf4", nested=False),
    "bitsandbytes nf4, blocks of 64, nested": lambda: by_bitsandbytes("nf4", nested=True),
    "bitsandbytes fp4, blocks of 64": lambda: by_bitsandbytes("fp4", nested=False),
}


def judged(b: Array, label: str) -> TensorVerdict:
    a = WEIGHT if b.shape == WEIGHT.shape else RAGGED
    left, right = StateDictCheckpoint({"w": a}), StateDictCheckpoint({"w": b.astype(np.float32)})
    right.specs = {"w": replace(right.specs["w"], encoding=label, values="F32")}
    pair = pair_tensors(left.specs, right.specs).pairs[0]
    return judge_tensor(left, right, pair, stream_sums(left, right, (pair,), threads=1)["w"])


@pytest.mark.parametrize("label", ROUNDED)
def test_real_rounding_is_rounding(label: str) -> None:
    found = judged(ROUNDED[label](), label)
    assert (found.verdict, found.reason) == ("rounding", None)


@pytest.mark.parametrize("label", ROUNDED)
def test_what_was_planted_is_more(label: str) -> None:
    b = ROUNDED[label]()
    swapped, larger = b.copy(), 1.1 * b
    swapped[[3, 17, 20, 33]] = swapped[[17, 3, 33, 20]]
    for damaged in (swapped, larger):
        found = judged(damaged, label)
        # parts are not judged where a calibrated quantiser may have moved them on purpose
        hidden = damaged is swapped and label.startswith("pack-quantized int4")
        assert found.verdict in ("more_than_rounding", "broken") or hidden, found
        assert found.reason or hidden
