"""MXFP4 as gpt-oss stores it, against the decoder of transformers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tests.formats.encodings.case import Arrays, Case

FILE = "model.safetensors"


def _write(
    folder: Path, shape: tuple[int, ...], *, mark: str = "_", dtype: torch.dtype = torch.float32
) -> tuple[Path, Arrays]:
    """`shape` is that of the scales: (experts, rows, groups) or (rows, groups)."""
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, 256, (*shape, 16), generator=generator, dtype=torch.uint8)
    scales = torch.randint(100, 140, shape, generator=generator, dtype=torch.uint8)
    name = "mlp.experts.gate_up_proj"
    tensors = {f"{name}{mark}blocks": blocks, f"{name}{mark}scales": scales}
    save_file({**tensors, "mlp.router.bias": torch.ones(3)}, folder / FILE)
    whole = (blocks, scales) if len(shape) == 3 else (blocks[None], scales[None])
    found = convert_moe_packed_tensors(*whole, dtype=dtype)
    # the reference has experts alone, and transposes them
    found = found if mark == "_" and len(shape) == 3 else found.transpose(1, 2)
    found = found if len(shape) == 3 else found[0]
    values = found.float().contiguous().numpy()
    return folder / FILE, {name: values}


def _cut_scales(path: Path) -> None:
    tensors = load_file(path)
    name = "mlp.experts.gate_up_proj_scales"
    tensors[name] = tensors[name][:, :-1].contiguous()
    save_file(tensors, path)


CASES = (
    Case("mxfp4", "experts", partial(_write, shape=(3, 8, 2)), damage=_cut_scales),
    Case("mxfp4", "ragged", partial(_write, shape=(2, 7, 3))),
    Case("mxfp4", "as bf16", partial(_write, shape=(2, 5, 3), dtype=torch.bfloat16)),
    Case("mxfp4", "no experts", partial(_write, shape=(5, 3))),
    Case("mxfp4", "as first released", partial(_write, shape=(2, 5, 3), mark=".")),
)
