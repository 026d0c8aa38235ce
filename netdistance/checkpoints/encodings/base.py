"""What every storage encoding offers: which tensors of a file it makes up, and their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdistance.checkpoints.base import Checkpoint, TensorSpec
from netdistance.checkpoints.json_text import json_object
from netdistance.errors import CheckpointError

Floats = NDArray[np.float32]
# rows first:last of the decoded tensor as (last - first, columns), columns the rest of its shape
Rows = Callable[[int, int], Floats]


# a configuration is a few KB; some hold a vocabulary
_MAX_CONFIG_BYTES = 50_000_000
# where a folder says how its weights are packed, and under which key
_CONFIGS = (("config.json", "quantization_config"), ("quantize_config.json", None))


class Stored:
    """A file as it lies: packed tensors under their own names, and what its folder says of them."""

    def __init__(self, file: Checkpoint, folder: Path | None = None) -> None:
        """Nothing is read; `folder` is where a configuration would be."""
        self.file = file
        self._folder = folder

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The `quantization_config` of the folder's config.json, empty where there is none.

        Raises:
            CheckpointError: the file cannot be read, or is not JSON.
        """
        for name, key in _CONFIGS:
            config = _json_in(self._folder / name) if self._folder is not None else {}
            config = config if key is None else config.get(key, {})
            if isinstance(config, dict) and config:
                return config
        return {}

    @property
    def specs(self) -> Mapping[str, TensorSpec]:
        """Its tensors, as stored."""
        return self.file.specs

    def with_suffix(self, suffix: str) -> Iterator[str]:
        """What stands before the suffix, for each name that ends so."""
        return (name.removesuffix(suffix) for name in self.specs if name.endswith(suffix))

    def span(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """The elements start:stop of a tensor in row-major order, as a new 1-D array.

        Raises:
            CheckpointError: as Checkpoint.blocks.
        """
        width = self.specs[name].elements
        return self.file.tile(name, slice(0, 1), slice(start, stop), width=width).reshape(-1)

    def nbytes(self, names: tuple[str, ...]) -> int:
        """How many bytes these tensors take."""
        return sum(self.specs[name].nbytes for name in names)


def _json_in(path: Path) -> Mapping[str, Any]:
    try:
        if not path.is_file() or path.stat().st_size > _MAX_CONFIG_BYTES:
            return {}
        raw = path.read_bytes()
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror}") from error
    return json_object(raw, path, "invalid configuration")


@dataclass(frozen=True, slots=True)
class Encoded:
    """A tensor that an encoding makes of several: its spec once decoded, and the names it uses up.

    Where `spec.unreadable` says why it cannot be decoded, `rows` is None. A row has `width` numbers
    where it is given: the tensor is a sequence of such rows, as of blocks.
    """

    spec: TensorSpec
    parts: tuple[str, ...]
    rows: Rows | None
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Encoding:
    """One way of storing weights in fewer bits.

    `find` looks at names, shapes and types alone and reads no weights; `source` says where the
    layout is written down.
    """

    name: str
    source: str
    find: Callable[[Stored], Iterator[Encoded]]


def encoded(
    stored: Stored,
    name: str,
    shape: tuple[int, ...],
    parts: tuple[str, ...],
    *,
    label: str,
    decoding: str,
    rows: Rows | None = None,
    unreadable: str | None = None,
    width: int | None = None,
) -> Encoded:
    """The tensor `name` of float32 numbers that `parts` make; without `rows`, say why not.

    It cannot be decoded either where one of the parts has no numbers to be had.
    `label` is how it is stored, such as "fp8 block 128 x 128", and `decoding` the formula; `width`
    as of Encoded.
    """
    unreadable = broken_part(stored, parts) or unreadable
    spec = TensorSpec(
        name, shape, label, stored.nbytes(parts), unreadable, decoding=decoding, values="F32"
    )
    return Encoded(spec, parts, None if unreadable else rows, width)


def broken_part(stored: Stored, parts: tuple[str, ...]) -> str | None:
    """Why the first of these that cannot be read cannot, None where all can."""
    reasons = ((part, stored.specs[part].unreadable) for part in parts)
    return next((f"{part!r} {reason}" for part, reason in reasons if reason is not None), None)
