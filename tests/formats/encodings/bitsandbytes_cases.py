"""nf4, fp4 and int8 as bitsandbytes stores them, against its own decoders on the CPU."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tests.formats.encodings.case import Arrays, Case

NAME = "l.weight"
FILE = "model.safetensors"


def write_4bit(
    folder: Path,
    shape: tuple[int, ...],
    kind: str = "nf4",
    *,
    block: int = 64,
    nested: bool = False,
    dtype: torch.dtype = torch.float32,
) -> tuple[Path, Arrays]:
    """A packed weight, and what the library reads from the file: itself in float32 for bfloat16.

    The CPU kernel of 0.50.2 is wrong where a row of a multiple of 32 is no whole number of blocks
    (twice the error, and other than its own generic decoder): such shapes are no reference.
    """
    from bitsandbytes import functional

    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    # its generic decoder, for odd shapes, is compiled otherwise: 9 s
    with torch.compiler.set_stance("force_eager"):
        packed, state = functional.quantize_4bit(
            weight, blocksize=block, compress_statistics=nested, quant_type=kind
        )
        own = {f"{NAME}.{part}": value for part, value in state.as_dict(packed=True).items()}
        save_file({NAME: packed, **own, "l.bias": torch.ones(3)}, folder / FILE)
        # from the file, as a user's library would
        read = load_file(folder / FILE)
        parts = {key.removeprefix(f"{NAME}."): read[key] for key in own}
        found = functional.QuantState.from_dict(parts, device=torch.device("cpu"))
        values = functional.dequantize_4bit(read[NAME], found).reshape(shape)
    values = values.float() if dtype == torch.bfloat16 else values  # numpy has none
    return folder / FILE, {NAME: values.numpy()}


def change_state(path: Path, **changes: Any) -> None:
    """Write other entries into the JSON beside the weight."""
    tensors = load_file(path)
    name = next(name for name in tensors if "quant_state" in name)
    state = json.loads(bytes(tensors[name].tolist())) | changes
    tensors[name] = torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)
    save_file(tensors, path)


def drop(path: Path, part: str) -> None:
    """Take one tensor out of the file."""
    tensors = load_file(path)
    del tensors[f"{NAME}.{part}"]
    save_file(tensors, path)


def write_int8(folder: Path, shape: tuple[int, int]) -> tuple[Path, Arrays]:
    from bitsandbytes import functional

    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(-127, 128, shape, generator=generator, dtype=torch.int8)
    scale = torch.rand(shape[0], generator=generator)
    layout = torch.tensor(0, dtype=torch.uint8)
    tensors = {NAME: codes, "l.SCB": scale, "l.weight_format": layout, "l.bias": torch.ones(3)}
    save_file(tensors, folder / FILE)
    return folder / FILE, {NAME: functional.int8_vectorwise_dequant(codes, scale).numpy()}


def _for_a_gpu(path: Path) -> None:
    tensors = load_file(path)
    tensors["l.weight_format"] = torch.tensor(2, dtype=torch.uint8)
    save_file(tensors, path)


def _4bit(name: str, damage: Callable[[Path], None] | None = None, **settings: Any) -> Case:
    return Case("bitsandbytes 4-bit", name, partial(write_4bit, **settings), damage)


CASES = (
    _4bit("nf4", partial(change_state, shape=[31, 64]), shape=(32, 64)),
    _4bit("fp4", partial(drop, part="quant_map"), shape=(16, 128), kind="fp4"),
    _4bit("ragged", partial(drop, part="absmax"), shape=(13, 37)),
    _4bit("ragged and nested", shape=(301, 67), nested=True),
    _4bit("nested", partial(change_state, nested_offset=math.nan), shape=(256, 128), nested=True),
    _4bit("fp16 of a convolution", shape=(8, 3, 3, 3), dtype=torch.float16, block=128),
    Case("bitsandbytes int8", "whole", partial(write_int8, shape=(64, 32)), _for_a_gpu),
    Case("bitsandbytes int8", "ragged", partial(write_int8, shape=(13, 37))),
)
