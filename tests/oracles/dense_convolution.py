"""The dense matrix of a zero-padded convolution, entry by entry from its definition.

y[o, p] = sum over c, t of K[o, c, t] x[first(o) + c, s p + d t - pad], zero outside the input:
the cross-correlation of torch.nn.functional.conv1d, conv2d and conv3d.
"""

from __future__ import annotations

import numpy as np


def dense_convolution(
    kernel: np.ndarray,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    input_size: tuple[int, ...],
) -> np.ndarray:
    """The matrix from the flat input to the flat output."""
    c_out, c_group, *taps = kernel.shape
    output_size = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(input_size, padding, dilation, taps, stride, strict=True)
    )
    dense = np.zeros((c_out, *output_size, c_group * groups, *input_size))
    for o, c, *tap in np.ndindex(*kernel.shape):
        channel = o // (c_out // groups) * c_group + c
        for position in np.ndindex(*output_size):
            axes = zip(position, tap, stride, padding, dilation, strict=True)
            source = tuple(s * p + d * t - pad for p, t, s, pad, d in axes)
            if all(0 <= at < n for at, n in zip(source, input_size, strict=True)):
                dense[(o, *position, channel, *source)] = kernel[(o, c, *tap)]
    return dense.reshape(c_out * int(np.prod(output_size)), -1)
