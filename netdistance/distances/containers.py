"""Which grid a stored tensor's numbers lie on, by what its storage calls itself."""

from __future__ import annotations

import re
from collections.abc import Callable

from netdistance.distances import container_grids as grids
from netdistance.distances.container_grids import Grid, in_groups

# the block layouts of ggml: bits, elements to a scale, and how the scale is chosen
_GGML: dict[str, tuple[int, int, Callable[[], grids.Round]]] = {
    "q4_0": (4, 32, lambda: grids.signed_largest(4)),
    "q5_0": (5, 32, lambda: grids.signed_largest(5)),
    "q8_0": (8, 32, lambda: grids.symmetric(8, 127.0)),
    "q4_1": (4, 32, lambda: grids.affine(4, with_zero=False)),
    "q5_1": (5, 32, lambda: grids.affine(5, with_zero=False)),
    "q2_k": (2, 16, lambda: grids.affine(2, with_zero=True)),
    "q3_k": (3, 16, lambda: grids.signed_largest(3)),
    "q4_k": (4, 32, lambda: grids.affine(4, with_zero=True)),
    "q5_k": (5, 32, lambda: grids.affine(5, with_zero=True)),
    "q6_k": (6, 16, lambda: grids.signed_largest(6)),
}
_PLAIN: dict[str, Grid] = {
    "F32": Grid("fp32", grids.to_float32),
    "F16": Grid("fp16", grids.FP16),
    "BF16": Grid("bf16", grids.BF16),
    "F8_E4M3": Grid("fp8", grids.E4M3),
    "F8_E5M2": Grid("fp8", grids.E5M2),
}
# who writes these minds what comes out of a layer more than what its weights are
_CALIBRATED = ("gptq", "awq", "pack-quantized", "compressed-tensors", "_k")


def plain_grid(dtype: str) -> Grid | None:
    """The grid of an element type that needs no scale; None for F64 and what has no floor.

    >>> plain_grid("BF16").name, plain_grid("F64")
    ('bf16', None)
    """
    return _PLAIN.get(dtype)


def grid_of(label: str, largest: float) -> Grid | None:
    """The grid that a label such as "gptq 4-bit, groups of 128" speaks of; None where unknown.

    `largest` is the largest magnitude of the tensor, for a scale of the whole of it.

    >>> grid_of("gptq 4-bit, groups of 128, act-order", 1.0).group
    128
    >>> grid_of("gguf Q8_0", 1.0).name, grid_of("IQ2_XXS", 1.0)
    ('int8', None)
    """
    text = label.lower()
    calibrated = any(word in text for word in _CALIBRATED)
    if found := re.search(r"\bq\d_[01k]", text):
        if found[0] not in _GGML:
            return None
        bits, size, scales = _GGML[found[0]]
        return Grid(f"int{bits}", in_groups(size, scales()), size, calibrated=calibrated)
    if re.search(r"\biq\d|\btq\d", text):
        return None
    for read in (_small_float, _table, _integer):
        if (grid := read(text, largest, calibrated)) is not None:
            return grid
    return None


def _small_float(text: str, largest: float, calibrated: bool) -> Grid | None:
    """fp8 and the 4-bit floats."""
    size = _group(text)
    if "mxfp4" in text:
        cast = grids.scaled(6.0, grids.E2M1, power_of_two=True)
        return Grid("mxfp4", in_groups(size or 32, cast), size or 32)
    if "nvfp4" in text:
        return Grid("nvfp4", in_groups(size or 16, grids.scaled(6.0, grids.E2M1)), size or 16)
    if not re.search(r"fp8|f8_e|e4m3|e5m2", text):
        return None
    top, kind = (57344.0, grids.E5M2) if "e5m2" in text else (448.0, grids.E4M3)
    cast = grids.scaled(top, kind)
    if block := re.search(r"(\d+) x (\d+)", text):
        band, columns = int(block[1]), int(block[2])
        return Grid("fp8", grids.in_blocks(band, columns, cast), columns, band)
    if size is not None:
        return Grid("fp8", in_groups(size, cast), size)
    if re.search(r"row|channel", text):
        return Grid("fp8", in_groups(None, cast))
    return Grid("fp8", grids.by_scale(largest / top, kind))


def _table(text: str, largest: float, calibrated: bool) -> Grid | None:
    """Bitsandbytes' two codes of 4 bits."""
    for name, code in (("nf4", grids.NF4), ("fp4", grids.FP4)):
        if name in text:
            size = _group(text) or 64
            return Grid(name, in_groups(size, code), size)
    return None


def _integer(text: str, largest: float, calibrated: bool) -> Grid | None:
    found = re.search(r"\b(\d)[- ]?bits?\b|\bu?int(\d)|\bw(\d)a", text)
    if found is None:
        return None
    bits = int(next(part for part in found.groups() if part))
    if not 2 <= bits <= 8:
        return None
    size = _group(text)
    if re.search(r"asym|zero", text):
        code = grids.affine(bits, with_zero=True)
    else:
        # the largest of the conventions 2^(bits - 1) - 1, - 1/2 and - 0: it excuses all of them
        code = grids.symmetric(bits, 2.0 ** (bits - 1) - 1.0)
    if size is None and "tensor" in text and "compressed-tensor" not in text:
        top = 2.0 ** (bits - 1) - 1.0
        step = largest / top
        return Grid(f"int{bits}", grids.by_scale(step, grids.whole(bits)), calibrated=calibrated)
    return Grid(f"int{bits}", in_groups(size, code), size, calibrated=calibrated)


def _group(text: str) -> int | None:
    found = re.search(r"(?:groups?|blocks?)(?: of| size)? (\d+)(?! x)", text)
    return int(found[1]) if found and int(found[1]) > 0 else None
