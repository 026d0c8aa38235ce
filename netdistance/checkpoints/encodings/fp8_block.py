"""8-bit floats with one scale for each block: `weight` of F8_E4M3 and `weight_scale_inv`.

DeepSeek-V3's layout: weight (rows, columns) in blocks of `weight_block_size` (128 x 128 where a
configuration does not say), scale (ceil(rows / block), ceil(columns / block)); despite its name the
scale multiplies. Source: the model card and inference/kernel.py of deepseek-ai/DeepSeek-V3.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from netdistance.checkpoints.encodings.base import Encoded, Encoding, Floats, Stored, encoded

_SUFFIX = "_scale_inv"
_BLOCK = (128, 128)
_DECODING = "code x the scale of its block"


def _find(stored: Stored) -> Iterator[Encoded]:
    for name in stored.with_suffix(_SUFFIX):
        weight = stored.specs.get(name)
        if weight is not None and weight.encoding.startswith("F8_E4M3"):
            yield _encoded(stored, name)
    alone = [name for name in stored.specs if _is_without_scale(stored, name)]
    if alone and stored.config.get("quant_method") == "fp8":
        yield from (_refused(stored, name) for name in alone)


def _is_without_scale(stored: Stored, name: str) -> bool:
    spec = stored.specs[name]
    is_matrix = spec.encoding == "F8_E4M3" and len(spec.shape) == 2
    return is_matrix and not any(name + end in stored.specs for end in (_SUFFIX, "_scale"))


def _refused(stored: Stored, name: str) -> Encoded:
    """A weight of a model that is called fp8: without scales its codes are no numbers."""
    why = f"{name + _SUFFIX!r} is not in the file, and config.json says fp8"
    shape = stored.specs[name].shape
    return encoded(
        stored, name, shape, (name,), label="fp8 e4m3", decoding=_DECODING, unreadable=why
    )


def _encoded(stored: Stored, name: str) -> Encoded:
    scale = name + _SUFFIX
    shape, scales = stored.specs[name].shape, stored.specs[scale].shape
    block = _block_size(stored)
    unreadable = None
    if len(shape) != 2 or block is None:
        unreadable = f"fp8 blocks are of matrices, and {name!r} has shape {shape}"
        if block is None:
            unreadable = "weight_block_size in config.json is not two sizes above 0"
    elif scales != (expected := tuple(-(-n // b) for n, b in zip(shape, block, strict=True))):
        unreadable = f"{scale!r} has shape {scales}, expected {expected}"
    elif not stored.specs[scale].is_weight:
        unreadable = f"{scale!r} is {stored.specs[scale].encoding}, expected floating point"
    block = block or _BLOCK

    def rows(first: int, last: int) -> Floats:
        bands = slice(first // block[0], -(-last // block[0]))
        own = stored.file.tile(scale, bands, slice(0, scales[1])).astype(np.float32)
        width = min(block[1], shape[1])  # a configuration may claim any
        factors = np.repeat(own, width, axis=1)[:, : shape[1]]
        if len(factors) > 1:
            factors = factors[np.arange(first, last) // block[0] - bands.start]
        return stored.file.scaled_tile(name, slice(first, last), slice(0, shape[1]), factors)

    return encoded(
        stored,
        name,
        shape,
        (name, scale),
        label=f"fp8 e4m3, a scale per {block[0]} x {block[1]}",
        decoding=_DECODING,
        rows=rows,
        unreadable=unreadable,
    )


def _block_size(stored: Stored) -> tuple[int, int] | None:
    sizes = stored.config.get("weight_block_size") or _BLOCK
    is_pair = isinstance(sizes, list | tuple) and len(sizes) == 2
    if not is_pair or not all(type(n) is int and n > 0 for n in sizes):
        return None
    return sizes[0], sizes[1]


FP8_BLOCK = Encoding(
    "fp8 block", "https://huggingface.co/deepseek-ai/DeepSeek-V3 (README_WEIGHTS.md)", _find
)
