"""What is in memory already, read as a checkpoint: a module, or names with tensors or arrays.

A mapping of numpy arrays never needs torch; one of tensors comes from a caller who has it loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import BLOCK_ELEMENTS, Checkpoint, TensorSpec
from netdistance.checkpoints.dtypes import BY_NAME
from netdistance.checkpoints.npz import ENCODINGS, native
from netdistance.checkpoints.ties import View, overlap_note, ties_of
from netdistance.checkpoints.wrappers import named_tensors, unwrap
from netdistance.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor, nn


class StateDictCheckpoint(Checkpoint):
    """Named arrays and tensors of this process; nothing is copied, so do not change them.

    Tensors of torch that were changed in place are found by `verify_unchanged`; arrays are not.
    """

    format = "state dict"

    def __init__(self, source: Mapping[Any, Any] | nn.Module) -> None:
        """Take the tensors, a module's by its `state_dict()`. Raises CheckpointError for none."""
        self.path = Path(f"<{type(source).__name__}>")
        content, opened = unwrap(
            source if isinstance(source, Mapping) else source.state_dict(), self.path
        )
        torch = sys.modules.get("torch")
        arrays, tensors = (np.ndarray, np.generic), () if torch is None else (torch.Tensor,)
        values, left_out = named_tensors(content, (*arrays, *tensors), self.path)
        self._arrays = {n: np.asarray(v) for n, v in values.items() if isinstance(v, arrays)}
        self._tensors: dict[str, Tensor] = {
            n: v for n, v in values.items() if n not in self._arrays
        }
        self.specs = {name: self._spec(name) for name in values}
        self.notes = opened + left_out
        views = [View.of_array(name, array) for name, array in self._arrays.items()]
        if self._tensors:
            from netdistance.checkpoints.torch_pickle import views_of

            views += views_of(self._tensors)
        self.ties = ties_of(views)
        self.notes += overlap_note(views, self.ties)
        self.nbytes = sum(spec.nbytes for spec in self.specs.values())
        self._versions = self._current_versions()

    def _spec(self, name: str) -> TensorSpec:
        if name in self._tensors:
            from netdistance.checkpoints.torch_pickle import spec_of

            return spec_of(name, self._tensors[name])
        array = self._arrays[name]
        encoding = ENCODINGS.get(array.dtype.str[1:], array.dtype.str[1:])
        reason = None if encoding in BY_NAME else f"{array.dtype} has no decoder"
        return TensorSpec(name, array.shape, encoding, array.nbytes, reason)

    def blocks(
        self, name: str, *, start: int = 0, stop: int | None = None, size: int = BLOCK_ELEMENTS
    ) -> Iterator[NDArray[Any]]:
        """As Checkpoint.blocks."""
        spec = self.specs[name]
        if name in self._tensors:
            from netdistance.checkpoints.torch_pickle import tensor_blocks

            yield from tensor_blocks(spec, self._tensors, self.path, start, stop, size)
            return
        if spec.unreadable is not None:
            raise CheckpointError(self.path, spec.unreadable, tensor=name)
        array = self._arrays[name]
        stop = spec.elements if stop is None else min(stop, spec.elements)
        for begin in range(start, stop, size):
            yield native(np.asarray(array.flat[begin : min(begin + size, stop)]))

    def verify_unchanged(self) -> None:
        """Raise CheckpointError where a tensor of torch was changed in place since the start."""
        for name, version in self._current_versions().items():
            if version != self._versions[name]:
                raise CheckpointError(self.path, "changed while being read", tensor=name)

    def _current_versions(self) -> dict[str, int]:
        # tensors made in inference mode keep no count
        return {n: t._version for n, t in self._tensors.items() if not t.is_inference()}

    def close(self) -> None:
        """Nothing to release: the tensors are the caller's."""
