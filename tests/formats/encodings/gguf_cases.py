"""GGUF's block types against `gguf.quants.dequantize`, and a converter's permutation undone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, quants

from tests.formats.encodings.case import Arrays, Case

ROWS = 7  # no multiple of anything
HEADS, KV_HEADS = 4, 2


def decodable() -> list[GGMLQuantizationType]:
    """The block types that the package decodes."""
    found = []
    for kind in GGMLQuantizationType:
        block, nbytes = gguf.GGML_QUANT_SIZES[kind]
        try:
            quants.dequantize(np.zeros((1, nbytes), np.uint8), kind)
        except NotImplementedError:
            continue
        found += [kind] if block > 1 else []
    return found


def blocks(
    kind: GGMLQuantizationType, rows: tuple[int, ...], columns: int, seed: int
) -> np.ndarray:
    """Random blocks, the half-precision numbers that some hold at random places finite."""
    nbytes = gguf.GGML_QUANT_SIZES[kind][1]
    draw = np.random.default_rng(seed)
    while True:
        raw = draw.integers(0, 256, (*rows, columns, nbytes), dtype=np.uint8)
        raw[raw & 0x7C == 0x7C] ^= 0x40  # no byte is that of an infinite half
        raw = raw.reshape(*rows, -1)
        if np.isfinite(quants.dequantize(raw, kind)).all():
            return raw


def write(path: Path, arch: str, tensors: dict[str, tuple[np.ndarray, int]], **counts: int) -> None:
    writer = gguf.GGUFWriter(path, arch)
    for key, value in counts.items():
        writer.add_uint32(f"{arch}.{key.replace('__', '.')}", value)
    for name, (raw, kind) in tensors.items():
        writer.add_tensor(name, raw, raw_dtype=GGMLQuantizationType(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _one_type(
    folder: Path, kind: GGMLQuantizationType, rows: tuple[int, ...], columns: int
) -> tuple[Path, Arrays]:
    raw = blocks(kind, rows, columns, seed=int(kind))
    write(folder / "x.gguf", "none", {"x.weight": (raw, kind)})
    return folder / "x.gguf", {"x.weight": quants.dequantize(raw, kind)}


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """What LlamaModel.permute of convert_hf_to_gguf.py makes of the rows of q or k."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def _llama(folder: Path, kind: GGMLQuantizationType) -> tuple[Path, Arrays]:
    """q and k of a layer in Hugging Face's order, quantised as a converter does it."""
    draw = np.random.default_rng(1)
    layer, expected, tensors = "model.layers.3.self_attn", {}, {}
    for name, rows, heads in (("q", 48, HEADS), ("k", 24, KV_HEADS)):
        weight = draw.standard_normal((rows, 96)).astype(np.float32)
        raw = quants.quantize(permuted(weight, heads), kind)
        tensors[f"blk.3.attn_{name}.weight"] = (raw, int(kind))
        # rows are quantised alone, so that the order does not matter
        expected[f"{layer}.{name}_proj.weight"] = quants.dequantize(
            quants.quantize(weight, kind), kind
        )
        bias = draw.standard_normal(rows).astype(np.float32)
        tensors[f"blk.3.attn_{name}.bias"] = (permuted(bias, heads), 0)
        expected[f"{layer}.{name}_proj.bias"] = bias
    counts = {"attention__head_count": HEADS, "attention__head_count_kv": KV_HEADS}
    write(folder / "x.gguf", "llama", tensors, **counts)
    return folder / "x.gguf", expected


def _gemma(folder: Path) -> tuple[Path, Arrays]:
    norm = np.random.default_rng(2).standard_normal(8).astype(np.float32)
    one = np.float32(1)
    write(folder / "x.gguf", "gemma2", {"blk.0.attn_norm.weight": (norm + one, 0)})
    return folder / "x.gguf", {"model.layers.0.input_layernorm.weight": (norm + one) - one}


def _rename_heads(path: Path) -> None:
    """Leave a file without the number of heads."""
    content = path.read_bytes()
    path.write_bytes(content.replace(b"attention.head_count", b"attention.head_COUNT"))


CASES = (
    *(
        Case(
            "gguf blocks",
            f"ragged {kind.name}",
            partial(_one_type, kind=kind, rows=(ROWS,), columns=3),
        )
        for kind in decodable()
    ),
    Case(
        "gguf blocks",
        "one axis",
        partial(_one_type, kind=GGMLQuantizationType.Q4_K, rows=(), columns=5),
    ),
    Case(
        "gguf blocks",
        "three axes",
        partial(_one_type, kind=GGMLQuantizationType.Q8_0, rows=(3, 5), columns=2),
    ),
    Case(
        "gguf blocks",
        "llama Q8_0",
        partial(_llama, kind=GGMLQuantizationType.Q8_0),
        damage=_rename_heads,
    ),
    Case("gguf blocks", "llama F16", partial(_llama, kind=GGMLQuantizationType.F16)),
    Case("gguf blocks", "gemma norm", _gemma),
)
