"""Decoding packed weights, against reading bfloat16 and against the libraries' own decoders.

What moves the bytes: packed weights are a half to a quarter of bfloat16's, and every element is
written once as float32 by a table look-up and multiplied by a scale in the cache; bfloat16 is
widened by a shift.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from benchmarks.processes import interleaved
from netdistance.checkpoints import open_checkpoint
from netdistance.linalg.leaves import BATCH_ELEMENTS

ROWS, COLUMNS, GROUP = 4096, 8192, 128
_ELEMENTS = ROWS * COLUMNS
Arrays = dict[str, NDArray[Any]]
Config = dict[str, object]


def decode_speed() -> dict[str, float]:
    """Elements a second over those of bfloat16, one thread; the bar is 0.5 for int4 and fp8.

    Beside them the libraries' decoders, on arrays already in memory, over ours with reading.
    """
    with TemporaryDirectory() as folder:
        paths = {name: _written(Path(folder) / name, name) for name in ("bf16", *_STORED)}
        paths |= {name: _gguf(Path(folder), name) for name in _GGUF_TYPES}
        jobs: dict[str, Callable[[], object]] = {
            name: partial(_drain, path) for name, path in paths.items()
        }
        jobs |= {f"library_{name}": _library(paths[name], name) for name in _LIBRARY}
        seconds = _interleaved(jobs, repeats=7)
    ratios = {f"{name}_over_bf16": seconds["bf16"] / seconds[name] for name in paths}
    against = {
        f"{name}_over_library": seconds[f"library_{name}"] / seconds[name] for name in _LIBRARY
    }
    return {"bf16_ns_per_element": 1e9 * seconds["bf16"] / _ELEMENTS, **ratios, **against}


def decode_memory() -> dict[str, float]:
    """Peak anonymous memory of comparing int4 with bfloat16, by elements; the bar is 150 MB."""
    peaks = {}
    for millions in (100, 1000):
        with TemporaryDirectory() as folder:
            names = [f"layers.{i}.weight" for i in range(millions * 10**6 // _ELEMENTS)]
            files = [str(_written(Path(folder) / kind, kind, names)) for kind in ("bf16", "int4")]
            command = [sys.executable, "-m", "netdistance", "compare", "--quiet", *files]
            usage = interleaved({"compare": command}, repeats=1)["compare"]
            peaks[f"peak_anonymous_mib_at_{millions}_m_elements"] = usage.peak_anonymous_mib
    return peaks


def _interleaved(jobs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The median CPU seconds of each, run in turns; the first turn warms the page cache."""
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats + 1):
        for name, job in jobs.items():
            begun = time.process_time()
            job()
            taken[name].append(time.process_time() - begun)
    return {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}


def _drain(path: Path) -> None:
    with open_checkpoint(path) as checkpoint:
        (name,) = checkpoint.specs
        assert checkpoint.specs[name].unreadable is None, checkpoint.specs[name].unreadable
        for _ in checkpoint.blocks(name, size=BATCH_ELEMENTS):
            pass


def _written(folder: Path, kind: str, names: list[str] | None = None) -> Path:
    """A folder with random codes in the layout of `kind`: a decoder does not know."""
    folder.mkdir()
    arrays, config = _STORED[kind]() if kind in _STORED else _bf16()
    stored = {f"{name}.{part}": x for name in names or ["w"] for part, x in arrays.items()}
    path = folder / "model.safetensors"
    if kind in _TYPES:  # numpy has no such type: written under another of its size
        _save_as(stored, path, _TYPES[kind])
    else:
        save_file(stored, path)
    (folder / "config.json").write_text(json.dumps({"quantization_config": config}))
    return folder


def _save_as(arrays: Arrays, path: Path, types: Mapping[str, str]) -> None:
    """Safetensors with other type names: those of `types`, by the last part of a tensor's name."""
    header, offset = {}, 0
    for name, x in arrays.items():
        dtype = types.get(name.rpartition(".")[2], "F32")
        header[name] = {
            "dtype": dtype,
            "shape": x.shape,
            "data_offsets": [offset, offset + x.nbytes],
        }
        offset += x.nbytes
    raw = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        for x in arrays.values():
            file.write(x.tobytes())


def _random(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(np.random.default_rng(0).bytes(size), dtype=dtype).reshape(shape)


def _scales(shape: tuple[int, ...], dtype: str = "f4") -> NDArray[Any]:
    return np.random.default_rng(0).random(shape).astype(dtype)


def _bf16() -> tuple[Arrays, Config]:
    return {"weight": _random((ROWS, COLUMNS), "u2") & 0xBFFF}, {}


def _fp8_block() -> tuple[Arrays, Config]:
    scales = _scales((ROWS // GROUP, COLUMNS // GROUP))
    config: Config = {"quant_method": "fp8", "weight_block_size": [GROUP, GROUP]}
    # as weights are: seldom zero, and never NaN
    codes = np.maximum(_random((ROWS, COLUMNS), "u1") % 0x7E, 0x20)
    return {"weight": codes, "weight_scale_inv": scales}, config


def _int4() -> tuple[Arrays, Config]:
    weights = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": GROUP}
    config: Config = {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "config_groups": {
            "group_0": {"targets": ["Linear"], "weights": {**weights, "symmetric": True}}
        },
    }
    return {
        "weight_packed": _random((ROWS, COLUMNS // 8), "i4"),
        "weight_scale": _scales((ROWS, COLUMNS // GROUP), "f2"),
        "weight_shape": np.array([ROWS, COLUMNS]),
    }, config


def _gptq() -> tuple[Arrays, Config]:
    return {
        "qweight": _random((COLUMNS // 8, ROWS), "i4"),
        "qzeros": np.full((COLUMNS // GROUP, ROWS // 8), 0x77777777, "i4"),
        "scales": _scales((COLUMNS // GROUP, ROWS), "f2"),
        "g_idx": np.arange(COLUMNS, dtype="i4") // GROUP,
    }, {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "sym": True, "desc_act": False}


def _awq() -> tuple[Arrays, Config]:
    return {
        "qweight": _random((COLUMNS, ROWS // 8), "i4"),
        "qzeros": _random((COLUMNS // GROUP, ROWS // 8), "i4"),
        "scales": _scales((COLUMNS // GROUP, ROWS), "f2"),
    }, {
        "quant_method": "awq",
        "bits": 4,
        "group_size": GROUP,
        "version": "gemm",
        "zero_point": True,
    }


def _mxfp4() -> tuple[Arrays, Config]:
    groups = COLUMNS // 32
    return {
        "weight_blocks": _random((1, ROWS, groups, 16), "u1"),
        "weight_scales": np.full((1, ROWS, groups), 120, "u1"),
    }, {"quant_method": "mxfp4"}


def _nf4() -> tuple[Arrays, Config]:
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [ROWS, COLUMNS]}
    return {
        "weight": _random((_ELEMENTS // 2, 1), "u1"),
        "weight.absmax": _scales((_ELEMENTS // 64,)),
        "weight.quant_map": np.linspace(-1, 1, 16, dtype="f4"),
        "weight.quant_state.bitsandbytes__nf4": np.frombuffer(json.dumps(state).encode(), "u1"),
    }, {"quant_method": "bitsandbytes", "load_in_4bit": True}


_STORED: dict[str, Callable[[], tuple[Arrays, Config]]] = {
    "fp8_block": _fp8_block,
    "int4": _int4,
    "gptq": _gptq,
    "awq": _awq,
    "mxfp4": _mxfp4,
    "nf4": _nf4,
}
_TYPES = {"bf16": {"weight": "BF16"}, "fp8_block": {"weight": "F8_E4M3"}}
_GGUF_TYPES = ("Q4_0", "Q8_0", "Q4_K", "Q6_K")


def _gguf(folder: Path, name: str) -> Path:
    kind = gguf.GGMLQuantizationType[name]
    block, size = gguf.GGML_QUANT_SIZES[kind]
    # scales of plain halves: no decoder is slower or quicker for it, and none warns of NaN
    raw = (_random((ROWS, COLUMNS // block * size), "u1") & 0x3B).copy()
    path = folder / f"{name}.gguf"
    writer = gguf.GGUFWriter(path, "benchmark")
    writer.add_tensor("w", raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _library(path: Path, name: str) -> Callable[[], object]:
    if name in _GGUF_TYPES:
        tensor = gguf.GGUFReader(path).tensors[0]
        return lambda: gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    from safetensors.torch import load_file

    tensors = {k.removeprefix("w."): x for k, x in load_file(path / "model.safetensors").items()}
    if name == "fp8_block":
        import torch
        from compressed_tensors.entrypoints.convert import FP8BlockDequantizer  # type: ignore[import-untyped]

        decoder = FP8BlockDequantizer(dtype=torch.float32)
        return lambda: decoder.process({f"w.{part}": x for part, x in tensors.items()})
    from compressed_tensors.compressors import PackedQuantizationCompressor  # type: ignore[import-untyped]
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme  # type: ignore[import-untyped]

    weights = QuantizationArgs(num_bits=4, strategy="group", group_size=GROUP, symmetric=True)
    scheme = QuantizationScheme(targets=["Linear"], weights=weights, format="pack-quantized")
    return lambda: PackedQuantizationCompressor.decompress(dict(tensors), scheme)


_LIBRARY = ("fp8_block", "int4", *_GGUF_TYPES)
