"""What the layerwise relative optimisers share: torch.optim's conventions around one rule."""

from __future__ import annotations

import itertools
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple, overload

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from netdistance.optim.layerwise import FloatRule, Number, Rule, TensorRule

_FLOATS, _TENSORS = FloatRule(), TensorRule()


class Layer(NamedTuple):
    """A parameter that has a gradient. A complex one is seen as pairs of real numbers."""

    parameter: Tensor
    weight: Tensor  # real, the parameter's own memory
    gradient: Tensor  # the shape of `weight`


class LayerwiseOptimizer(Optimizer):
    """A torch optimiser that steps by `_move`; its options live in the parameter groups."""

    # the options of a subclass that an older pickle may lack, with their defaults
    added_options: ClassVar[dict[str, Any]] = {}
    _warned = False

    def __init__(self, params: ParamsT, options: dict[str, Any]) -> None:
        super().__init__(params, options)

    @abstractmethod
    def _move(self, group: dict[str, Any], layers: list[Layer], rule: Rule) -> None:
        """Step the layers of one device and dtype; one at a time unless `foreach`."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a pickled optimiser; options that its version did not have take defaults."""
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self.added_options.items():
                group.setdefault(name, value)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group after its options, and the defaults it leaves open, are validated."""
        self._validate({**self.defaults, **param_group})
        super().add_param_group(param_group)

    def _validate(self, options: dict[str, Any]) -> None:
        lr = options["lr"]
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr >= 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if options["foreach"] and options["differentiable"]:
            raise ValueError("foreach works in place: it cannot be differentiable")

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` gave. What is kept in float32 for half precisions stays so."""
        super().load_state_dict(state_dict)
        saved = itertools.chain.from_iterable(g["params"] for g in state_dict["param_groups"])
        ours = itertools.chain.from_iterable(g["params"] for g in self.param_groups)
        for key, parameter in zip(saved, ours, strict=True):
            restored = self.state.get(parameter, {})
            for name, value in state_dict["state"].get(key, {}).items():
                # torch casts every tensor but the step count to the parameter's dtype
                if isinstance(value, Tensor) and value.dtype != restored[name].dtype:
                    restored[name] = value.to(restored[name].device)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Move every tensor that has a gradient; the closure's loss, if there is a closure."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._refuse_sparse()
        for group in self.param_groups:
            with torch.set_grad_enabled(group["differentiable"]):
                self._step_group(group)
        return loss

    def _refuse_sparse(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.layout != torch.strided:
                    raise RuntimeError(
                        f"{type(self).__name__} does not support sparse gradients: got "
                        f"{parameter.grad.layout} for a parameter of shape "
                        f"{tuple(parameter.shape)}; make the gradient dense "
                        "(nn.Embedding(sparse=False))"
                    )

    def _step_group(self, group: dict[str, Any]) -> None:
        layers = [
            Layer(parameter, real(parameter), real(gradient))
            for parameter in group["params"]
            if (gradient := parameter.grad) is not None and parameter.numel() > 0
        ]
        compiling = torch.compiler.is_compiling()
        by_tensors = group["capturable"] or group["differentiable"] or compiling
        if not (self._warned or compiling):
            self._warn_where_storage_is_too_coarse(group["lr"], layers)
        for bucket in _buckets(layers, group["foreach"], by_tensors=by_tensors):
            self._move(group, bucket, _TENSORS if by_tensors else _FLOATS)

    def _warn_where_storage_is_too_coarse(self, lr: Number, layers: Iterable[Layer]) -> None:
        """Warn, once in the life of this object, where most elements would round back."""
        if isinstance(lr, Tensor) and lr.device.type != "cpu":
            return  # reading it would wait for the accelerator
        for dtype in {layer.weight.dtype for layer in layers} & {torch.float16, torch.bfloat16}:
            # half the coarsest relative spacing of the format
            smallest = torch.finfo(dtype).eps / 2.0
            if 0.0 < float(lr) < smallest:
                self._warned = True
                warnings.warn(
                    f"{type(self).__name__}: {dtype} cannot store a relative step of "
                    f"{float(lr):.2g}: below {smallest:.2g} elements round back to where they "
                    "were; keep the weights in float32 (torch.autocast) or raise lr",
                    stacklevel=5,  # past the hooks that torch puts around step
                )


def real(tensor: Tensor) -> Tensor:
    """The tensor, or the real pairs that a complex one is made of, in the same memory."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _buckets(
    layers: Iterable[Layer], foreach: bool | None, *, by_tensors: bool
) -> Iterable[list[Layer]]:
    """One layer at a time, or all of one device and dtype: by default on CUDA only."""
    buckets: dict[object, list[Layer]] = {}
    for number, layer in enumerate(layers):
        weight = layer.weight
        together = foreach if foreach is not None else weight.is_cuda and not by_tensors
        place = (weight.device, weight.dtype) if together else number
        buckets.setdefault(place, []).append(layer)
    return buckets.values()
