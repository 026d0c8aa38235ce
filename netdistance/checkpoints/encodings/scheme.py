"""What the `config_groups` of compressed-tensors say of weights, over all groups together.

Which group a layer belongs to is told by patterns over names and module types; the shapes say it
too, so the values of all groups serve as those that are possible.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netdistance.checkpoints.encodings.base import Stored


@dataclass(frozen=True, slots=True)
class Schemes:
    """The `weights` of every group, empty where there is no such configuration."""

    weights: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, stored: Stored) -> Schemes:
        """Those of the folder's configuration; what is not of the expected type is left out."""
        groups = stored.config.get("config_groups")
        found = groups.values() if isinstance(groups, dict) else ()
        weights = (group.get("weights") for group in found if isinstance(group, dict))
        return cls(tuple(each for each in weights if isinstance(each, dict)))

    def sizes(self, key: str) -> set[int]:
        """The whole numbers above 0 that stand under a key, such as num_bits."""
        return {n for each in self.weights if type(n := each.get(key)) is int and n > 0}

    @property
    def blocks(self) -> Iterator[tuple[int, int]]:
        """The sizes of blocks."""
        for each in self.weights:
            block: Any = each.get("block_structure")
            is_pair = isinstance(block, list) and len(block) == 2
            if is_pair and all(type(n) is int and n > 0 for n in block):
                yield block[0], block[1]

    @property
    def all_asymmetric(self) -> bool:
        """Whether every group has zero points of its own."""
        return bool(self.weights) and all(each.get("symmetric") is False for each in self.weights)
