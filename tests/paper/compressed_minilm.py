"""MiniLM as people store it in fewer bits, written by the libraries that they use."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

Weights = dict[str, Tensor]
GROUP = 128


def nf4(weights: Weights, folder: Path) -> Path:
    """bitsandbytes NF4 in blocks of 64, the scales themselves in 8 bits (double quantisation)."""
    from bitsandbytes.functional import quantize_4bit

    stored: Weights = {}
    for name, weight in weights.items():
        if not is_linear(name, weight):
            stored[name] = weight
            continue
        codes, state = quantize_4bit(
            weight, blocksize=64, compress_statistics=True, quant_type="nf4"
        )
        stored[name] = codes
        stored |= {f"{name}.{key}": x for key, x in state.as_dict(packed=True).items()}
    return _folder(stored, folder, {"quant_method": "bitsandbytes", "load_in_4bit": True})


def compressed_int4(weights: Weights, folder: Path) -> Path:
    """compressed-tensors' packed int4: symmetric, groups of 128."""
    from compressed_tensors.compressors import PackedQuantizationCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams

    args = QuantizationArgs(num_bits=4, strategy="group", group_size=GROUP, symmetric=True)
    scheme = QuantizationScheme(targets=["Linear"], weights=args, format="pack-quantized")
    stored: Weights = {}
    for name, weight in weights.items():
        if not is_linear(name, weight):
            stored[name] = weight
            continue
        groups = weight.reshape(weight.shape[0], -1, GROUP)
        scale, zero = calculate_qparams(groups.amin(dim=-1), groups.amax(dim=-1), args)
        given = {"weight": weight, "weight_scale": scale, "weight_zero_point": zero}
        packed = PackedQuantizationCompressor.compress(given, scheme)
        module = name.removesuffix("weight")
        stored |= {module + part: x for part, x in packed.items() if isinstance(x, Tensor)}
    config = {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "config_groups": {
            "group_0": {"targets": ["Linear"], "weights": args.model_dump(mode="json")}
        },
    }
    return _folder(stored, folder, config)


def gguf_file(kind: str) -> Callable[[Weights, Path], Path]:
    """A GGUF file under BERT's names there, every matrix of whole blocks in this type."""

    def write(weights: Weights, folder: Path) -> Path:
        import gguf

        quantised = gguf.GGMLQuantizationType[kind]
        block = gguf.GGML_QUANT_SIZES[quantised][0]
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, 6)
        path = folder / f"minilm-{kind}.gguf"
        writer = gguf.GGUFWriter(path, "bert")
        writer.add_block_count(6)
        writer.add_head_count(12)
        for name, weight in weights.items():
            stored = names.get_name(name, try_suffixes=(".weight", ".bias"))
            if stored is None or not weight.is_floating_point():
                continue  # position ids and the pooler, which the format has no place for
            numbers = weight.numpy()
            if weight.ndim < 2 or weight.shape[1] % block:
                writer.add_tensor(stored, numbers)
            else:
                codes = gguf.quants.quantize(numbers, quantised)
                writer.add_tensor(stored, codes, raw_dtype=quantised)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write


def lora(model: Path, folder: Path) -> tuple[Path, Path, Path]:
    """An adapter of rank 8 on every query and value, and the model merged with it twice.

    In float32, and once more with the weights kept in bfloat16.
    """
    from transformers import AutoModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers in an older way
        return _lora(AutoModel.from_pretrained(model, dtype=torch.float32), folder)


def _lora(model: torch.nn.Module, folder: Path) -> tuple[Path, Path, Path]:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=8, lora_alpha=16, target_modules=["query", "value"])
    with torch.random.fork_rng():
        tuned = get_peft_model(model, config)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in tuned.named_parameters():
        if "lora_" in name:
            with torch.no_grad():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.03)
    adapter = folder / "adapter"
    tuned.save_pretrained(adapter)
    merged = {name: x.contiguous() for name, x in tuned.merge_and_unload().state_dict().items()}
    save_file(merged, folder / "merged-fp32.safetensors")
    short = {n: x.bfloat16() if x.is_floating_point() else x for n, x in merged.items()}
    save_file(short, folder / "merged-bf16.safetensors")
    return adapter, folder / "merged-fp32.safetensors", folder / "merged-bf16.safetensors"


def read(path: Path) -> Weights:
    """Every tensor of a safetensors file."""
    return load_file(path)


def is_linear(name: str, weight: Tensor) -> bool:
    """Whether the weight is a linear layer's: what these libraries quantise."""
    return name.startswith("encoder.") and weight.ndim == 2


def _folder(stored: Weights, folder: Path, config: dict[str, object]) -> Path:
    save_file({name: x.contiguous() for name, x in stored.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"quantization_config": config}))
    return folder
