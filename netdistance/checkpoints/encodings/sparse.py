"""Layouts of compressed-tensors that leave zeros out: recognised, and not decoded.

sparse-bitmask and sparse-24-bitmask have X.compressed and X.bitmask, marlin-24 has X.scale_packed
and X.meta. Releases since 0.13 no longer write them. Source: CompressionFormat in config/base.py of
vllm-project/compressed-tensors, which calls them legacy.
"""

from __future__ import annotations

from collections.abc import Iterator

from netdistance.checkpoints.encodings.base import Encoded, Stored
from netdistance.checkpoints.encodings.packed import refused

# the tensor of values, and one that says it is sparse
_LAYOUTS = (
    ("sparse bitmask", "compressed", "bitmask", ("shape", "row_offsets")),
    ("marlin-24", "weight_packed", "meta", ("scale_packed", "weight_shape", "zero_point")),
)


def sparse(stored: Stored) -> Iterator[Encoded]:
    """The tensors of such layouts, each with its reason."""
    for label, values, mark, others in _LAYOUTS:
        for name in stored.with_suffix(f".{values}"):
            if f"{name}.{mark}" not in stored.specs:
                continue
            own = (f"{name}.{part}" for part in (values, mark, *others))
            parts = tuple(part for part in own if part in stored.specs)
            weight = name if name.endswith(".weight") else f"{name}.weight"
            yield refused(stored, weight, parts, label, f"the layout {label} is not decoded")
