"""What compare is asked beyond the two files: one object for the command and the Python call."""

from __future__ import annotations

import os
from dataclasses import dataclass

from netdistance.errors import UsageError

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """What compare is asked beyond the two files.

    `model` is `package.module:factory` or `file.py:factory`: naming it runs its code. `rename` is
    of `REGEX=REPLACEMENT`, for b's names; `strip_prefix`, `only` and `skip` are for both sides'.
    `all_metrics` adds sign flips, sparsity and the relative maximum; `spectral` adds spectral
    distances and stable ranks, which hold two whole tensors at a time.
    """

    all_metrics: bool = False
    spectral: bool = False
    model: str | None = None
    inputs: PathLike | None = None
    targets: PathLike | None = None
    certify: int = 16
    batch_size: int = 512
    device: str = "auto"
    seed: int = 0
    threads: int | None = None
    strip_prefix: str = ""
    rename: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    fail_if: tuple[str, ...] = ()
    require_all: bool = False

    def require_consistent(self) -> None:
        """Raise UsageError where one option needs another."""
        if (self.model is None) != (self.inputs is None):
            raise UsageError("--model and --inputs go together; give both, or neither")
        if self.targets is not None and self.model is None:
            raise UsageError("--targets says how outputs are judged: give --model and --inputs too")
