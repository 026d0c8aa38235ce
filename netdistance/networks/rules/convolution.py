"""torch.nn.Conv1d, Conv2d, Conv3d with zero padding: any stride, dilation and groups."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from netdistance.linalg.conv_norm import conv_norm
from netdistance.networks.change import AffineLayer
from netdistance.networks.rules.base import Call, Edge, affine

_FORWARD = {
    nn.Conv1d: functional.conv1d,
    nn.Conv2d: functional.conv2d,
    nn.Conv3d: functional.conv3d,
}


class ConvolutionRule:
    """L by the polyphase symbol of the convolution at its input size.

    For a kernel change D, D * h = D unfold(h), so |D * h| <= |D|_F |unfold(h)|_F. A pixel lies in
    at most prod ceil(k_i / s_i) windows (k_i the dilated kernel size), so the operator norm of D is
    at most the square root of that times |D|_F.
    """

    name = "convolution"

    def matches(self, call: Call) -> bool:
        """Whether the operator is a zero-padded convolution of a batch."""
        module = call.module
        return (
            isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
            and type(module) in _FORWARD
            and module.padding_mode == "zeros"
            and call.owns_weights
            and call.edges[0].value.ndim == module.weight.ndim
        )

    def apply(self, call: Call) -> Edge:
        """The affine rule with the convolution's operator norm."""
        module = call.module
        assert isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        size = tuple(call.edges[0].value.shape[2:])
        kernel = [d * (k - 1) + 1 for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        padding = _padding(module, kernel)
        settings: dict[str, Any] = {
            "stride": module.stride, "padding": module.padding, "dilation": module.dilation,
        }  # fmt: skip
        convolve = _FORWARD[type(module)]

        def forward(h: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            return convolve(h, weight, bias, groups=module.groups, **settings)

        def spread(h: Tensor) -> Tensor:
            window = torch.ones(1, 1, *module.kernel_size, dtype=h.dtype)
            covered = convolve(h.square().sum(1, keepdim=True), window, **settings)
            return covered.flatten(1).sum(1).sqrt()

        layer = AffineLayer(
            weight=f"{call.node.target}.weight",
            bias=f"{call.node.target}.bias" if module.bias is not None else None,
            forward=forward,
            norm=lambda weight: conv_norm(
                weight,
                stride=module.stride,
                padding=padding,
                dilation=module.dilation,
                groups=module.groups,
                input_size=size,
            ),
            norm_key=size,
            spread=spread,
            gain=math.sqrt(
                math.prod(-(-k // s) for k, s in zip(kernel, module.stride, strict=True))
            ),
            positions=math.prod(
                (n + 2 * p - k) // s + 1
                for n, p, k, s in zip(size, padding, kernel, module.stride, strict=True)
            ),
        )
        return affine(call, layer)


def _padding(module: nn.Conv1d | nn.Conv2d | nn.Conv3d, kernel: list[int]) -> tuple[int, ...]:
    """The padding of each axis; for an uneven "same", the larger side on both.

    Then the operator here has all rows of the real one and more, and its norm is no smaller.
    """
    if module.padding == "valid":
        return (0,) * len(kernel)
    if module.padding == "same":
        return tuple(k // 2 for k in kernel)
    return tuple(int(p) for p in module.padding)
