"""What a network is run on: one tensor, or several by the name of a forward argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Arguments:
    """Tensors by forward argument, all of them with N entries; used as one tensor would be."""

    tensors: Mapping[str, Tensor]

    def _each(self, change: Callable[[Tensor], Tensor]) -> Arguments:
        return Arguments({name: change(tensor) for name, tensor in self.tensors.items()})

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, part: slice | list[int]) -> Arguments:
        return self._each(lambda tensor: tensor[part])

    def split(self, size: int) -> tuple[Arguments, ...]:
        """Parts of `size` inputs or fewer, in order."""
        return tuple(self[at : at + size] for at in range(0, len(self), size))

    def to(self, device: torch.device) -> Arguments:
        """The same on a device."""
        return self._each(lambda tensor: tensor.to(device))

    def double(self) -> Arguments:
        """Floating tensors in float64; others as they are, as they may be tokens."""
        return self._each(as_double)


Batch = Tensor | Arguments


def as_double(batch: Tensor) -> Tensor:
    """Floating numbers in float64; others as they are."""
    return batch.double() if batch.is_floating_point() else batch


def in_float64(batch: Batch) -> Batch:
    """Whatever floats in it in float64."""
    return as_double(batch) if isinstance(batch, Tensor) else batch.double()


def counted_positions(batch: Batch) -> Tensor | None:
    """Which of T positions of each input count, (N, T) bool, by its attention_mask; None if none.

    A decoder has positions of its own, which the mask of the encoder's says nothing of.
    """
    if isinstance(batch, Tensor) or any(name.startswith("decoder_") for name in batch.tensors):
        return None
    mask = batch.tensors.get("attention_mask")
    return mask != 0 if mask is not None and mask.ndim == 2 else None


def without_padding(values: Tensor, batch: Batch) -> Tensor:
    """Values of (N, T, ...) with 0 at positions of padding, so that these move no norm.

    Others as they are, also of (N, T) alone: T numbers may be scores of T classes.
    """
    counted = counted_positions(batch)
    if counted is None or values.ndim < 3 or values.shape[:2] != counted.shape:
        return values
    padding = ~counted.to(values.device)
    return values.masked_fill(padding.view(*padding.shape, *[1] * (values.ndim - 2)), 0.0)


def padding_note(batch: Batch) -> str | None:
    """How many positions are left out, in words; None where none is."""
    counted = counted_positions(batch)
    if counted is None or bool(counted.all()):
        return None
    left_out = f"{int((~counted).sum()):,} of {counted.numel():,} positions"
    return f"{left_out} are padding (attention_mask 0); outputs there count in nothing."


def shape_of(batch: Batch) -> str:
    """The types and shapes for a reader.

    >>> shape_of(torch.zeros(2, 3))
    'float32 inputs of shape (2, 3)'
    """
    if isinstance(batch, Tensor):
        return f"{_dtype(batch)} inputs of shape {tuple(batch.shape)}"
    each = (f"{name}: {_dtype(t)} {tuple(t.shape)}" for name, t in batch.tensors.items())
    return f"inputs {', '.join(each)}"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
