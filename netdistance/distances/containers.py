"""Which grid a stored tensor's numbers lie on, by what its storage calls itself."""

from __future__ import annotations

import re

from netdistance.distances.container_grids import Grid, float32_spacing
from netdistance.grids.base import Code
from netdistance.grids.floats import BF16, E2M1, E4M3, E5M2, FP16, FP32, Scaled
from netdistance.grids.formats import BLOCK, MXFP4
from netdistance.grids.integers import Affine, SignedLargest, Symmetric
from netdistance.grids.quantiser import Cut, Quantiser
from netdistance.grids.tables import FP4_TABLE, NF4_TABLE

# the block layouts of ggml: their bits, and codes with how many elements to a scale
_GGML: dict[str, tuple[int, Quantiser]] = {
    "q4_0": (4, Quantiser(SignedLargest(4), Cut(32))),
    "q5_0": (5, Quantiser(SignedLargest(5), Cut(32))),
    "q8_0": (8, Quantiser(Symmetric(8), Cut(32))),
    "q4_1": (4, Quantiser(Affine(4, with_zero=False), Cut(32))),
    "q5_1": (5, Quantiser(Affine(5, with_zero=False), Cut(32))),
    "q2_k": (2, Quantiser(Affine(2, with_zero=True), Cut(16))),
    "q3_k": (3, Quantiser(SignedLargest(3), Cut(16))),
    "q4_k": (4, Quantiser(Affine(4, with_zero=True), Cut(32))),
    "q5_k": (5, Quantiser(Affine(5, with_zero=True), Cut(32))),
    "q6_k": (6, Quantiser(SignedLargest(6), Cut(16))),
}
# the grids of element types that need no scale; F64 has no floor
PLAIN: dict[str, Grid] = {
    "F32": Grid.plain("fp32", FP32, float32_spacing),
    "F16": Grid.plain("fp16", FP16),
    "BF16": Grid.plain("bf16", BF16),
    "F8_E4M3": Grid.plain("fp8", E4M3),
    "F8_E5M2": Grid.plain("fp8", E5M2),
}
# who writes these minds what comes out of a layer more than what its weights are
_CALIBRATED = ("gptq", "awq", "pack-quantized")


def grid_of(label: str, largest: float) -> Grid | None:
    """The grid that the `encoding` of a decoded tensor speaks of; None where it has no floor here.

    `largest` is the largest magnitude of the tensor, for a scale of the whole of it. The labels are
    those of checkpoints.encodings.

    >>> grid_of("gptq 4-bit, groups of 128, act-order", 1.0).cut.group
    128
    >>> grid_of("Q8_0", 1.0).name, grid_of("IQ2_XXS", 1.0)
    ('int8', None)
    """
    text = label.lower()
    if text in _GGML:
        bits, quantiser = _GGML[text]
        return Grid.of(f"int{bits}", quantiser, calibrated=text.endswith("_k"))
    cut, calibrated = _cut(text), text.startswith(_CALIBRATED)
    for read in (_small_float, _table, _integer):
        if (found := read(text, cut)) is not None:
            return Grid.of(*found, largest, calibrated=calibrated)
    return None


def _small_float(text: str, cut: Cut) -> tuple[str, Quantiser] | None:
    """fp8 and the 4-bit floats of microscaling."""
    if text.startswith("mxfp4"):
        return "mxfp4", MXFP4
    if text.startswith("nvfp4"):
        return "nvfp4", Quantiser(Scaled(E2M1), Cut(16))
    if text.startswith("fp8"):
        return "fp8", Quantiser(Scaled(E5M2 if "e5m2" in text else E4M3), cut)
    return None


def _table(text: str, cut: Cut) -> tuple[str, Quantiser] | None:
    """Bitsandbytes' two codes of 4 bits."""
    for name, table in (("nf4", NF4_TABLE), ("fp4", FP4_TABLE)):
        if text.startswith(f"bitsandbytes {name}"):
            return name, Quantiser(table, Cut(cut.group or BLOCK, flat=True))
    return None


def _integer(text: str, cut: Cut) -> tuple[str, Quantiser] | None:
    found = re.search(r"\b(\d)-bit\b|\bint(\d)\b", text)
    if found is None:
        return None
    bits = int(found[1] or found[2])
    # the scale max / top is the largest of the conventions with 2^(bits - 1) - 1, - 1/2 and - 0:
    # it excuses all of them
    code: Code = Symmetric(bits)
    if "zero points" in text and not cut.whole:  # of a whole tensor only the largest is known
        code = Affine(bits, with_zero=True)
    return f"int{bits}", Quantiser(code, cut)


def _cut(text: str) -> Cut:
    """What shares a scale, in the words of a label."""
    if block := re.search(r"per (\d+) x (\d+)", text):
        return Cut(int(block[2]), int(block[1]))
    group = re.search(r"(?:groups|blocks) of (\d+)", text)
    return Cut(int(group[1]) if group else None, whole="one scale" in text)
