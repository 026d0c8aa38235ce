"""compressed-tensors against its own compressors' `decompress`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.formats.encodings.case import Arrays, Case

_PACKED, _SCALED, _NVFP4 = "compressed-tensors packed", "weight and scale", "nvfp4"


def write_packed(
    folder: Path,
    *,
    shape: tuple[int, int] = (16, 64),
    bits: int = 4,
    group: int | None = 32,
    symmetric: bool = True,
    act_order: bool = False,
    kind: torch.dtype = torch.bfloat16,
    strategy: str | None = None,
) -> tuple[Path, Arrays]:
    """A layer `l` of pack-quantized weights; without `group`, a scale per output."""
    from compressed_tensors.compressors import PackedQuantizationCompressor
    from compressed_tensors.compressors.pack_quantized import pack_to_int32

    generator, low = torch.Generator().manual_seed(bits), -(1 << (bits - 1))
    args = _args(bits, group, symmetric, strategy)
    groups = 1 if group is None else shape[1] // group
    scales = (1,) if strategy == "tensor" else (shape[0], groups)
    codes = torch.randint(low, -low, shape, generator=generator).to(torch.int8)
    own = {
        "weight_packed": pack_to_int32(codes, bits),
        "weight_scale": (torch.rand(scales, generator=generator) * 0.1).to(kind),
        "weight_shape": torch.tensor(shape),
    }
    if not symmetric:
        zeros = torch.randint(low, -low, scales, generator=generator).to(torch.int8)
        own["weight_zero_point"] = (
            zeros if strategy == "tensor" else pack_to_int32(zeros, bits, packed_dim=0)
        )
    scheme = _scheme(args)
    if act_order:  # column c is of group g_idx[c]: in the order of the groups it is as without
        assert group is not None
        order = torch.randperm(shape[1], generator=generator)
        own["weight_g_idx"] = torch.empty(shape[1], dtype=torch.int32)
        own["weight_g_idx"][order] = (torch.arange(shape[1]) // group).to(torch.int32)
        in_order = own | {"weight_packed": pack_to_int32(codes[:, order], bits)}
        sorted_ = PackedQuantizationCompressor.decompress(in_float32(in_order), scheme)["weight"]
        weight = torch.empty_like(sorted_)
        weight[:, order] = sorted_
    else:
        weight = PackedQuantizationCompressor.decompress(in_float32(own), scheme)["weight"]
    return _written(folder, own, weight, args)


def write_scaled(
    folder: Path, *, shape: tuple[int, int], kind: torch.dtype, scales: tuple[int, ...], **args: Any
) -> tuple[Path, Arrays]:
    """A layer `l` of int8 or fp8 weights with scales of a shape."""
    from compressed_tensors.compressors import NaiveQuantizationCompressor

    generator = torch.Generator().manual_seed(len(scales))
    codes = torch.randint(-128, 128, shape, generator=generator).to(torch.int8)
    if kind != torch.int8:
        codes = torch.randn(shape, generator=generator).mul(100).to(kind)
    own = {"weight": codes, "weight_scale": torch.rand(scales, generator=generator).bfloat16()}
    if not args.get("symmetric", True):
        zeros = torch.randint(-128, 128, scales, generator=generator).to(torch.int8)
        own["weight_zero_point"] = zeros
    full = {"num_bits": 8, "type": "int" if kind == torch.int8 else "float", **args}
    weight = NaiveQuantizationCompressor.decompress(in_float32(own), _scheme(full))["weight"]
    return _written(folder, own, weight, full)


def write_nvfp4(folder: Path, *, shape: tuple[int, int]) -> tuple[Path, Arrays]:
    """A layer `l` of NVFP4 weights, random codes."""
    from compressed_tensors.compressors.nvfp4 import unpack_fp4_from_uint8
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.lifecycle.forward import dequantize

    generator = torch.Generator().manual_seed(0)
    scales = torch.rand((shape[0], shape[1] // 16), generator=generator) * 400
    packed = torch.randint(0, 256, (shape[0], shape[1] // 2), generator=generator)
    own = {
        "weight_packed": packed.to(torch.uint8),
        "weight_scale": scales.to(torch.float8_e4m3fn),
        "weight_global_scale": torch.tensor([733.0]),
    }
    args = {"num_bits": 4, "type": "float", "group_size": 16, "strategy": "tensor_group"}
    codes = unpack_fp4_from_uint8(own["weight_packed"], *shape, dtype=torch.float32)
    weight = dequantize(
        codes,
        own["weight_scale"].float(),
        args=QuantizationArgs(**args),
        global_scale=own["weight_global_scale"],
    )
    return _written(folder, own, weight, args)


def _args(bits: int, group: int | None, symmetric: bool, strategy: str | None) -> dict[str, Any]:
    chosen = strategy or ("channel" if group is None else "group")
    args = {"num_bits": bits, "symmetric": symmetric, "strategy": chosen, "type": "int"}
    return args if group is None else args | {"group_size": group}


def _scheme(args: dict[str, Any]) -> Any:
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    return QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**args))


def _written(
    folder: Path, own: dict[str, torch.Tensor], weight: torch.Tensor, args: dict[str, Any]
) -> tuple[Path, Arrays]:
    tensors = {f"l.{name}": tensor.contiguous() for name, tensor in own.items()}
    tensors["l.input_scale"] = torch.ones(1)
    save_file(tensors, folder / "model.safetensors")
    groups = {"group_0": {"targets": ["Linear"], "weights": args}}
    config = {"quant_method": "compressed-tensors", "config_groups": groups}
    (folder / "config.json").write_text(json.dumps({"quantization_config": config}))
    return folder, {"l.weight": weight.numpy()}


def in_float32(own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same with bfloat16 scales in float32, which the compressors then compute in."""
    return {n: t.float() if t.dtype == torch.bfloat16 else t for n, t in own.items()}


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["l.weight_scale"] = tensors["l.weight_scale"][:5].clone()
    save_file(tensors, path)


def _packed(name: str, **settings: Any) -> Case:
    damage = _cut if name == "groups" else None
    return Case(_PACKED, name, partial(write_packed, **settings), damage=damage)


def _scaled(name: str, **settings: Any) -> Case:
    damage = _cut if name == "int8 per output" else None
    return Case(_SCALED, name, partial(write_scaled, **settings), damage=damage)


_INT8, _FP8 = torch.int8, torch.float8_e4m3fn
CASES = (
    _packed("groups"),
    _packed("groups, zero points", symmetric=False),
    _packed("groups, act-order", symmetric=False, act_order=True),
    _packed("ragged", shape=(13, 37), group=None, symmetric=False),
    _packed("per tensor", shape=(13, 37), group=None, strategy="tensor"),
    _packed("per tensor, zero point", group=None, strategy="tensor", symmetric=False),
    _packed("float16 scales", kind=torch.float16, symmetric=False),
    _packed("float32 scales", kind=torch.float32, symmetric=False),
    _packed("int8", bits=8, symmetric=False),
    _packed("int8 per output", shape=(9, 33), bits=8, group=None),
    _packed("int2", bits=2, symmetric=False),
    _scaled("int8 per output", shape=(16, 33), kind=_INT8, scales=(16, 1), strategy="channel"),
    _scaled(
        "int8, zero points",
        shape=(16, 33),
        kind=_INT8,
        scales=(16, 1),
        strategy="channel",
        symmetric=False,
    ),
    _scaled("int8 per tensor", shape=(7, 5), kind=_INT8, scales=(1,), strategy="tensor"),
    _scaled(
        "int8 groups", shape=(6, 64), kind=_INT8, scales=(6, 4), strategy="group", group_size=16
    ),
    _scaled("fp8 per tensor", shape=(7, 5), kind=_FP8, scales=(1,), strategy="tensor"),
    _scaled("fp8 per output", shape=(7, 5), kind=_FP8, scales=(7, 1), strategy="channel"),
    _scaled(
        "fp8 blocks, ragged",
        shape=(20, 37),
        kind=_FP8,
        scales=(3, 3),
        strategy="block",
        block_structure=[8, 16],
    ),
    Case(_NVFP4, "whole", partial(write_nvfp4, shape=(8, 64)), damage=_cut),
    Case(_NVFP4, "ragged", partial(write_nvfp4, shape=(7, 48))),
)
