"""Zero-padded convolutions and their adjoints, the transposed ones: any stride and groups."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from netdistance.linalg.conv_norm import conv_norm
from netdistance.networks.affine import AffineLayer
from netdistance.networks.rules.base import Call, ConstantFactor, Edge, Parameter, affine

_MODULES = {
    nn.Conv1d: functional.conv1d,
    nn.Conv2d: functional.conv2d,
    nn.Conv3d: functional.conv3d,
    nn.ConvTranspose1d: functional.conv_transpose1d,
    nn.ConvTranspose2d: functional.conv_transpose2d,
    nn.ConvTranspose3d: functional.conv_transpose3d,
}
_TRANSPOSED = (
    functional.conv_transpose1d,
    functional.conv_transpose2d,
    functional.conv_transpose3d,
)
_SETTINGS = ("stride", "padding", "dilation", "groups")
_TRANSPOSED_SETTINGS = ("stride", "padding", "output_padding", "groups", "dilation")


@dataclass(frozen=True, slots=True)
class _Convolution:
    """A convolution's names, function and options, as they were given."""

    weight: str
    bias: str | None
    function: Any
    options: dict[str, Any]

    def option(self, name: str, default: int, axes: int) -> tuple[int, ...]:
        given = self.options.get(name, default)
        values = tuple(given) if isinstance(given, list | tuple) else (given,)
        return values * axes if len(values) == 1 else values

    def reach(self, taps: tuple[int, ...]) -> tuple[int, ...]:
        """The dilated kernel size."""
        dilation = self.option("dilation", 1, len(taps))
        return tuple(d * (k - 1) + 1 for d, k in zip(dilation, taps, strict=True))

    def padding(self, taps: tuple[int, ...]) -> tuple[int, ...]:
        """The padding of each axis; for an uneven "same", the larger side on both.

        Then the operator here has all rows of the real one and more, and its norm is no smaller.
        """
        if self.options.get("padding") == "valid":
            return (0,) * len(taps)
        if self.options.get("padding") == "same":
            return tuple(k // 2 for k in self.reach(taps))
        return self.option("padding", 0, len(taps))

    def gain(self, taps: tuple[int, ...]) -> float:
        """The root of how many windows a pixel is in at most.

        Along an axis those of the taps j with d j = p modulo s, of which every s / gcd(s, d)-th is
        one: ceil(k / (s / gcd(s, d))).
        """
        stride, dilation = (self.option(name, 1, len(taps)) for name in ("stride", "dilation"))
        each = zip(taps, stride, dilation, strict=True)
        return math.sqrt(math.prod(-(-k * math.gcd(s, d) // s) for k, s, d in each))

    def forward(self, h: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        result: Tensor = self.function(h, weight, bias, **self.options)
        return result


def _found(call: Call) -> _Convolution | None:
    """The convolution of a batch that a call is, if its weights are tensors of the state."""
    found = _of_function(call) if call.module is None else _of_module(call)
    if found is None or len(call.edges) != 1 or found.weight not in call.change.state:
        return None
    return found if call.edges[0].value.ndim == call.change.state[found.weight].ndim else None


def _of_module(call: Call) -> _Convolution | None:
    module: Any = call.module
    function = _MODULES.get(type(module))
    # a transposed one can be asked for an output size
    if function is None or not call.owns_weights or len(call.args) + len(call.kwargs) != 1:
        return None
    if module.padding_mode != "zeros":
        return None
    names = _TRANSPOSED_SETTINGS if function in _TRANSPOSED else _SETTINGS
    bias = None if module.bias is None else f"{call.node.target}.bias"
    options = {name: getattr(module, name) for name in names}
    return _Convolution(f"{call.node.target}.weight", bias, function, options)


def _of_function(call: Call) -> _Convolution | None:
    function = call.node.target
    if not call.is_function(*_MODULES.values()) or not isinstance((*call.args, None)[0], Edge):
        return None
    names = _TRANSPOSED_SETTINGS if function in _TRANSPOSED else _SETTINGS
    given = call.settings("weight", "bias", *names)
    if given is None:
        return None
    weight, bias = given.pop("weight", None), given.pop("bias", None)
    if not isinstance(weight, Parameter) or not isinstance(bias, Parameter | None):
        return None
    return _Convolution(weight.name, None if bias is None else bias.name, function, given)


class ConvolutionRule(ConstantFactor):
    """L by the polyphase symbol of the convolution at its input size.

    For a kernel change D, D * h = D unfold(h), so |D * h| <= |D|_F |unfold(h)|_F. A pixel lies in
    at most prod ceil(k_i g_i / s_i) windows (g_i = gcd(stride, dilation)), so the operator norm of
    D is at most the square root of that times |D|_F.
    """

    name = "convolution"

    def matches(self, call: Call) -> bool:
        """Whether the operator is a zero-padded convolution of a batch."""
        found = _found(call)
        return found is not None and found.function not in _TRANSPOSED

    def apply(self, call: Call) -> Edge:
        """The affine rule with the convolution's operator norm."""
        found = _found(call)
        assert found is not None
        weight, size = call.change.state[found.weight], tuple(call.edges[0].value.shape[2:])
        taps = tuple(weight.shape[2:])
        geometry: dict[str, Any] = {
            "stride": found.option("stride", 1, len(taps)),
            "dilation": found.option("dilation", 1, len(taps)),
        }
        padding = found.padding(taps)
        groups = found.options.get("groups", 1)

        def spread(h: Tensor) -> Tensor:
            window = torch.ones(1, 1, *taps, dtype=h.dtype)
            options = {**found.options, "groups": 1}
            covered = found.function(h.square().sum(1, keepdim=True), window, None, **options)
            return covered.flatten(1).sum(1).sqrt()  # type: ignore[no-any-return]

        axes = zip(size, padding, found.reach(taps), geometry["stride"], strict=True)
        layer = AffineLayer(
            weight=found.weight,
            bias=found.bias,
            forward=found.forward,
            norm=lambda kernel: conv_norm(
                kernel, padding=padding, groups=groups, input_size=size, **geometry
            ),
            norm_key=("convolution", size, padding, groups, *geometry.values()),
            spread=spread,
            gain=found.gain(taps),
            positions=math.prod((n + 2 * p - k) // s + 1 for n, p, k, s in axes),
            shape=tuple(call.edges[0].value.shape[1:]),
        )
        return affine(call, layer)


class TransposedConvolutionRule(ConstantFactor):
    """L of the adjoint: the convolution with the same kernel and options, from output to input.

    The transposed convolution is the adjoint of that convolution of its output size, whose first
    outputs are the input here; an output padding of a stride or more gives that convolution further
    outputs, which only raise its norm. A norm is that of the adjoint. So for a kernel change D the
    operator norm is at most gain |D|_F with the convolution's gain, and |D h| <= gain |D|_F |h|.
    """

    name = "transposed_convolution"

    def matches(self, call: Call) -> bool:
        """Whether the operator is a transposed convolution of a batch, without an output size."""
        found = _found(call)
        return found is not None and found.function in _TRANSPOSED

    def apply(self, call: Call) -> Edge:
        """The affine rule with the adjoint's operator norm."""
        found = _found(call)
        assert found is not None
        weight = call.change.state[found.weight]
        taps, axes = tuple(weight.shape[2:]), weight.ndim - 2
        bias = None if found.bias is None else call.change.state[found.bias]
        size = tuple(found.forward(call.edges[0].value[:1], weight, bias).shape[2:])
        options: dict[str, Any] = {
            "stride": found.option("stride", 1, axes),
            "padding": found.option("padding", 0, axes),
            "dilation": found.option("dilation", 1, axes),
            "groups": found.options.get("groups", 1),
        }
        gain = found.gain(taps)
        layer = AffineLayer(
            weight=found.weight,
            bias=found.bias,
            forward=found.forward,
            norm=lambda kernel: conv_norm(kernel, input_size=size, **options),
            norm_key=("transposed", size, *options.values()),
            spread=lambda h: gain * torch.linalg.vector_norm(h.flatten(1), dim=1),
            gain=gain,
            positions=math.prod(size),
            shape=tuple(call.edges[0].value.shape[1:]),
        )
        return affine(call, layer)
