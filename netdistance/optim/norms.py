"""|tensor|_F in float32 or wider, as a Python float or, without a host read, as a tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# A float32 sum drifts with its number of terms: vector_norm on CPU is off by 2e-4 at 8M elements,
# blocks of this size summed in float64 by 5e-7 (torch 2.13).
_BLOCK = 2**20
# above the root of the smallest normal number no square that counts has underflowed: float32
_SAFE = 1e-15


def widened(tensor: Tensor) -> Tensor:
    """The tensor itself, or a float32 copy of one in half precision."""
    # asked first: .to of the same dtype costs a microsecond for each tensor of a step
    if tensor.dtype in (torch.float32, torch.float64):
        return tensor
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def frobenius(tensor: Tensor) -> float:
    """|tensor|_F of a real tensor that is not empty; waits for its device.

    Right also where the squares of its elements under- or overflow; NaN or infinite where an
    element is.

    >>> frobenius(torch.tensor([3e-40, 4e-40], dtype=torch.float64))
    5e-40
    """
    norm = _plain_norm(tensor)
    # most are safe in every dtype: asking a tensor for its own costs as much as the rest
    if _SAFE < norm < math.inf or _is_safe(norm, tensor.dtype):
        return norm
    return _scaled_norm(tensor)


def frobenius_norms(tensors: Sequence[Tensor]) -> list[float]:
    """`frobenius` of each; those on an accelerator are read together, in one wait."""
    if len(tensors) == 1 or tensors[0].is_cpu:
        return [frobenius(tensor) for tensor in tensors]
    return norms_in_one_read(tensors)


def norms_in_one_read(tensors: Sequence[Tensor]) -> list[float]:
    """`frobenius` of each tensor of one device, all of them read at once where none is extreme."""
    wide = torch.promote_types(tensors[0].dtype, torch.float32)
    plain = torch.stack(torch._foreach_norm(list(tensors), 2.0, dtype=wide)).tolist()
    return [
        norm if _is_safe(norm, tensor.dtype) else _scaled_norm(tensor)
        for norm, tensor in zip(plain, tensors, strict=True)
    ]


def norm_dtype(tensor: Tensor) -> torch.dtype:
    """float64, or float32 on the one backend that has no float64."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def frobenius_tensor(tensor: Tensor) -> Tensor:
    """`frobenius` as a 0-dimensional tensor on the same device: no host read, differentiable."""
    unit, largest = scaled_to_one(tensor)
    dtype = norm_dtype(tensor)
    # float32 is enough of an accumulator where the sum is a tree, not one running total
    sums = dtype if tensor.device.type == "cpu" else unit.dtype
    norm: Tensor = torch.linalg.vector_norm(unit, dtype=sums)
    return norm.to(dtype) * largest.to(dtype)


def scaled_to_one(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """The tensor over its largest element, float32 or wider, and that element; 1 where all are 0.

    The largest element counts as a constant for gradients: whoever multiplies it back in is right.
    """
    tensor = widened(tensor)
    largest = tensor.detach().abs().amax()
    largest = torch.where(largest > 0.0, largest, torch.ones_like(largest))
    return tensor / largest, largest


def _is_safe(norm: float, dtype: torch.dtype) -> bool:
    return (1e-150 if dtype == torch.float64 else _SAFE) < norm < math.inf


def _scaled_norm(tensor: Tensor) -> float:
    largest = tensor.abs().max()
    if largest == 0.0 or not math.isfinite(largest):
        return float(largest)
    # by a tensor, not by a float: a scalar divisor may become a reciprocal, which can overflow
    return float(largest) * _plain_norm(tensor / largest)


def _plain_norm(tensor: Tensor) -> float:
    if not (tensor.is_cpu and tensor.is_contiguous()):
        wide = torch.promote_types(tensor.dtype, torch.float32)
        return float(torch.linalg.vector_norm(tensor, dtype=wide))
    flat = tensor if tensor.ndim == 1 else tensor.view(-1)
    if flat.numel() <= _BLOCK:
        return math.sqrt(_squared_norm(flat))
    starts = range(0, flat.numel(), _BLOCK)
    return math.sqrt(math.fsum(_squared_norm(flat[i : i + _BLOCK]) for i in starts))


def _squared_norm(vector: Tensor) -> float:
    vector = widened(vector)
    # half the time of vector_norm with two threads, and less overhead on small tensors
    return float(torch.dot(vector, vector))
