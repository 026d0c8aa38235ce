"""GPTQ's packing, one number at a time, from the place that the published kernels give each.

Of 2, 4 and 8 bits a word holds 32 / bits numbers, the first lowest. Of 3 bits three words hold 32:
ten in each at shifts 0, 1 and 2 and up, and two that lie across words, number 10 with its low two
bits at the top of the first word, number 21 with its low bit at the top of the second
(auto_gptq/nn_modules/qlinear/qlinear_cuda.py of AutoGPTQ/AutoGPTQ, QuantLinear.pack).
"""

from __future__ import annotations

import numpy as np


def packed_column(codes: list[int], bits: int) -> list[int]:
    """The words, unsigned, of one column of codes; the last is filled up with zeros."""
    per = 32 if bits == 3 else 32 // bits
    words: list[int] = []
    for begin in range(0, len(codes), per):
        part = codes[begin : begin + per]
        part = part + [0] * (per - len(part))
        words += _three_bits(part) if bits == 3 else [_one_word(part, bits)]
    return words[: -(-len(codes) * bits // 32)]


def _one_word(codes: list[int], bits: int) -> int:
    return sum(code << (bits * place) for place, code in enumerate(codes))


def _three_bits(codes: list[int]) -> list[int]:
    first = _one_word(codes[:10], 3) + ((codes[10] & 3) << 30)
    second = (codes[10] >> 2) + (_one_word(codes[11:21], 3) << 1) + ((codes[21] & 1) << 31)
    third = (codes[21] >> 1) + (_one_word(codes[22:], 3) << 2)
    return [first, second, third]


def packed_down(codes: np.ndarray, bits: int) -> np.ndarray:
    """Codes (n, columns) packed along n, as int32 (words, columns)."""
    columns = [packed_column([int(c) for c in column], bits) for column in codes.T]
    return np.array(columns, dtype=np.uint32).T.copy().view(np.int32)


def weights(
    codes: np.ndarray, zeros: np.ndarray, scales: np.ndarray, groups: list[int]
) -> np.ndarray:
    """scales[g] x (code - zeros[g]) in the scales' own type, for codes (inputs, outputs), turned.

    The zeros are those meant, not those stored.
    """
    rows = [
        scales[group] * (codes[i].astype(np.int32) - zeros[group]).astype(scales.dtype)
        for i, group in enumerate(groups)
    ]
    return np.stack(rows, axis=1)
