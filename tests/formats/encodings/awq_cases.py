"""AWQ GEMM against the converter and the decompressor of compressed-tensors."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from tests.formats.encodings.case import Arrays, Case
from tests.formats.encodings.gptq_cases import change


def write_awq(
    folder: Path, *, inputs: int = 64, outputs: int = 32, group: int = 32, version: str = "gemm"
) -> tuple[Path, Arrays]:
    """A layer `l` whose words are random, and so its codes."""
    rng = np.random.default_rng(inputs)
    words = rng.integers(-(2**31), 2**31, (inputs, outputs // 8), dtype=np.int32)
    zeros = rng.integers(-(2**31), 2**31, (inputs // group, outputs // 8), dtype=np.int32)
    scales = (rng.random((inputs // group, outputs)) * 0.1).astype(np.float16)
    tensors = {"l.qweight": words, "l.qzeros": zeros, "l.scales": scales}
    loaded = {name: torch.from_numpy(array) for name, array in tensors.items()}
    save_file(loaded, folder / "model.safetensors")
    config = {"quant_method": "awq", "bits": 4, "group_size": group, "version": version}
    (folder / "config.json").write_text(json.dumps({"quantization_config": config}))
    return folder, {"l.weight": _reference(loaded, group)}


def _reference(tensors: dict[str, torch.Tensor], group: int) -> np.ndarray:
    from compressed_tensors.compressors import PackedQuantizationCompressor
    from compressed_tensors.entrypoints.convert import AutoAWQConverter
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    converted = AutoAWQConverter(group_size=group).process(dict(tensors))
    args = QuantizationArgs(num_bits=4, group_size=group, symmetric=False, strategy="group")
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    own = {name.removeprefix("l."): tensor for name, tensor in converted.items()}
    return PackedQuantizationCompressor.decompress(own, scheme)["weight"].numpy()


def _cut_scales(folder: Path) -> None:
    change(folder, "l.scales", np.ones((3, 32), dtype=np.float16))


CASES = (
    Case("awq", "whole", write_awq, damage=_cut_scales),
    Case("awq", "ragged", partial(write_awq, inputs=30, outputs=40, group=10)),
    Case("awq", "one group", partial(write_awq, inputs=24, outputs=8, group=24)),
    Case("awq", "more rows than a chunk", partial(write_awq, inputs=4096, outputs=40, group=128)),
)
