"""FP8 with block scales, against torch's own reader and the decoder of compressed-tensors."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tests.formats.encodings.case import Arrays, Case


def _write(folder: Path, shape: tuple[int, int], block: tuple[int, int]) -> tuple[Path, Arrays]:
    generator = torch.Generator().manual_seed(0)
    scales = tuple(-(-n // b) for n, b in zip(shape, block, strict=True))
    codes = torch.randn(shape, generator=generator).mul(100).to(torch.float8_e4m3fn)
    scale = torch.rand(scales, generator=generator) * 0.01
    names = {"l.weight": codes, "l.weight_scale_inv": scale, "l.bias": torch.ones(3)}
    save_file(names, folder / "model.safetensors")
    config = {"quantization_config": {"quant_method": "fp8", "weight_block_size": list(block)}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder, {"l.weight": _reference(codes, scale, block).numpy()}


def _reference(codes: torch.Tensor, scale: torch.Tensor, block: tuple[int, int]) -> torch.Tensor:
    """compressed-tensors' decoder of one weight."""
    from compressed_tensors.entrypoints.convert import FP8BlockDequantizer

    converter = FP8BlockDequantizer(targets=["re:.*"], weight_block_size=block, dtype=torch.float32)
    given = {"l.weight": codes.clone(), "l.weight_scale_inv": scale.clone()}
    return converter.process(given)["l.weight"]


def _cut_scales(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["l.weight_scale_inv"] = tensors["l.weight_scale_inv"][:1].clone()
    save_file(tensors, path)


CASES = (
    Case(
        "fp8 block",
        "whole blocks",
        partial(_write, shape=(256, 128), block=(128, 128)),
        damage=_cut_scales,
    ),
    Case("fp8 block", "ragged", partial(_write, shape=(200, 300), block=(128, 128))),
    Case("fp8 block", "small blocks", partial(_write, shape=(7, 9), block=(2, 4))),
)
