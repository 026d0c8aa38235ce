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
# the grids of element types that need no scale; F64 has no floor
PLAIN: dict[str, Grid] = {
    "F32": Grid("fp32", grids.to_float32, spacing=grids.float32_spacing),
    "F16": Grid("fp16", grids.FP16),
    "BF16": Grid("bf16", grids.BF16),
    "F8_E4M3": Grid("fp8", grids.E4M3),
    "F8_E5M2": Grid("fp8", grids.E5M2),
}
# who writes these minds what comes out of a layer more than what its weights are
_CALIBRATED = ("gptq", "awq", "pack-quantized")


def grid_of(label: str, largest: float) -> Grid | None:
    """The grid that the `encoding` of a decoded tensor speaks of; None where it has no floor here.

    `largest` is the largest magnitude of the tensor, for a scale of the whole of it. The labels are
    those of checkpoints.encodings.

    >>> grid_of("gptq 4-bit, groups of 128, act-order", 1.0).group
    128
    >>> grid_of("Q8_0", 1.0).name, grid_of("IQ2_XXS", 1.0)
    ('int8', None)
    """
    text = label.lower()
    if text in _GGML:
        bits, size, scales = _GGML[text]
        return Grid(f"int{bits}", in_groups(size, scales()), size, calibrated=text.endswith("_k"))
    for read in (_small_float, _table, _integer):
        if (grid := read(text, largest)) is not None:
            return grid
    return None


def _small_float(text: str, largest: float) -> Grid | None:
    """fp8 and the 4-bit floats of microscaling."""
    if text.startswith("mxfp4"):
        return Grid("mxfp4", in_groups(32, grids.scaled(6.0, grids.E2M1, power_of_two=True)), 32)
    if text.startswith("nvfp4"):
        return Grid("nvfp4", in_groups(16, grids.scaled(6.0, grids.E2M1)), 16)
    if not text.startswith("fp8"):
        return None
    top, kind = (57344.0, grids.E5M2) if "e5m2" in text else (448.0, grids.E4M3)
    cast = grids.scaled(top, kind)
    if block := re.search(r"per (\d+) x (\d+)", text):
        band, columns = int(block[1]), int(block[2])
        return Grid("fp8", grids.in_blocks(band, columns, cast), columns, band)
    if "one scale" in text:
        return Grid("fp8", grids.by_scale(largest / top, kind))
    size = _group(text)
    return Grid("fp8", in_groups(size, cast), size)


def _table(text: str, largest: float) -> Grid | None:
    """Bitsandbytes' two codes of 4 bits."""
    for name, code in (("nf4", grids.NF4), ("fp4", grids.FP4)):
        if text.startswith(f"bitsandbytes {name}"):
            size = _group(text) or 64
            return Grid(name, in_groups(size, code), size, flat=True)
    return None


def _integer(text: str, largest: float) -> Grid | None:
    found = re.search(r"\b(\d)-bit\b|\bint(\d)\b", text)
    if found is None:
        return None
    bits = int(found[1] or found[2])
    calibrated = text.startswith(_CALIBRATED)
    size = _group(text)
    # the largest of the conventions 2^(bits - 1) - 1, - 1/2 and - 0: it excuses all of them
    top = 2.0 ** (bits - 1) - 1.0
    if "one scale" in text:
        rounded = grids.by_scale(largest / top, grids.whole(bits))
    elif "zero points" in text:
        rounded = in_groups(size, grids.affine(bits, with_zero=True))
    else:
        rounded = in_groups(size, grids.symmetric(bits, top))
    return Grid(f"int{bits}", rounded, size, calibrated=calibrated)


def _group(text: str) -> int | None:
    found = re.search(r"(?:groups|blocks) of (\d+)", text)
    return int(found[1]) if found else None
