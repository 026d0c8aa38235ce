"""GPTQ against packing and formula written number by number (tests/oracles/gptq_packing.py)."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.formats.encodings.case import Arrays, Case
from tests.oracles.gptq_packing import packed_down, weights


def write_gptq(
    folder: Path,
    *,
    bits: int = 4,
    inputs: int = 64,
    outputs: int = 32,
    group: int = 32,
    version: int = 1,
    act_order: bool = False,
    index: bool = True,
    sym: bool = True,
    config: dict[str, Any] | None = None,
) -> tuple[Path, Arrays]:
    """A layer `l` of random codes; `config` replaces the one that tells the truth."""
    rng = np.random.default_rng(bits)
    groups = -(-inputs // group)
    codes = rng.integers(0, 1 << bits, (inputs, outputs))
    zeros = np.full((groups, outputs), 1 << (bits - 1))
    if not sym:
        zeros = rng.integers(1, 1 << bits, (groups, outputs))
    scales = (rng.random((groups, outputs)) * 0.1).astype(np.float16)
    g_idx = np.arange(inputs) // group
    if act_order:
        g_idx = rng.permutation(g_idx)
    tensors = {
        "l.qweight": packed_down(codes, bits),
        "l.qzeros": packed_down((zeros - (2 - version)).T, bits).T.copy(),
        "l.scales": scales,
        "l.bias": np.ones(3, dtype=np.float16),
    }
    if index:
        tensors["l.g_idx"] = g_idx.astype(np.int32)
    save_file(tensors, folder / "model.safetensors")
    true = {"bits": bits, "group_size": group, "sym": sym, "quant_method": "gptq"}
    true["checkpoint_format"] = "gptq" if version == 1 else "gptq_v2"
    written = {"quantization_config": true if config is None else config}
    (folder / "config.json").write_text(json.dumps(written))
    return folder, {"l.weight": weights(codes, zeros, scales, g_idx.tolist())}


def change(folder: Path, name: str, to: np.ndarray | None) -> None:
    """Put a tensor in place of another or beside them, or take one out."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors.pop(name, None)
    if to is not None:
        tensors[name] = to
    save_file(tensors, path)


def _cut_scales(folder: Path) -> None:
    change(folder, "l.scales", np.ones((1, 32), dtype=np.float16))


def _case(name: str, **settings: Any) -> Case:
    damage = _cut_scales if name == "symmetric" else None
    return Case("gptq", name, partial(write_gptq, **settings), damage=damage)


_LYING = {"bits": 4, "sym": True, "checkpoint_format": "gptq"}
CASES = (
    _case("symmetric"),
    _case("asymmetric", sym=False),
    _case("no g_idx", index=False),
    _case("act-order", act_order=True, sym=False),
    _case("ragged", inputs=50, outputs=21, group=16, sym=False),
    _case("one group", group=64, act_order=True),
    _case("2 bits", bits=2, sym=False),
    _case("3 bits", bits=3, inputs=96, outputs=64, sym=False),
    _case("3 bits ragged", bits=3, inputs=45, outputs=37, group=16, act_order=True),
    _case("8 bits", bits=8, sym=False),
    _case("version 2", version=2, sym=False),
    _case(
        "wrong metadata", version=2, config={"bits": 4, "sym": True, "checkpoint_format": "gptq"}
    ),
    _case("no configuration", config={}),
    _case("more rows than a tile", inputs=2048, outputs=24, group=128, act_order=True),
)
