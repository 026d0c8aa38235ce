"""How rows lie in a tensor that others are fused into, and in one whose heads are permuted.

Parts are fused in n groups, and each group has the n-th of each part: n = 1 is one part after the
other, n = the number of heads is query, key and value of each head in turn (GPT-NeoX, BLOOM), n =
the number of key heads has the queries of each group beside its key and value (Falcon, InternLM2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from netdistance.pairing.conversions.matrices import Index

# rows of a head, at most: 512 is the largest of published models (DeepSeek's latent, 512)
_MOST_HEAD = 512


@dataclass(frozen=True, slots=True)
class Fusion:
    """Parts of so many rows each, in `groups` groups."""

    rows: tuple[int, ...]
    groups: int = 1

    @property
    def total(self) -> int:
        """The rows of all parts."""
        return sum(self.rows)

    def span(self, part: int) -> tuple[int, int]:
        """The first row of a part in each group, and the row after its last."""
        first = sum(self.rows[:part]) // self.groups
        return first, first + self.rows[part] // self.groups

    def place(self, part: int, rows: Index) -> Index:
        """Where rows of a part lie among the fused."""
        first, last = self.span(part)
        group, within = np.divmod(rows, max(1, last - first))
        return group * (self.total // self.groups) + first + within

    def where(self, rows: Index) -> tuple[Index, Index]:
        """The part that each fused row is of, and which row of it."""
        ends = np.array([self.span(part)[1] for part in range(len(self.rows))])
        group, within = np.divmod(rows, self.total // self.groups)
        part = np.searchsorted(ends, within, "right")
        sizes = np.array(self.rows) // self.groups
        return part, group * sizes[part] + within - (ends - sizes)[part]

    def told(self, part: int) -> str:
        """Which rows a part has, in words."""
        first, last = self.span(part)
        of = f" of each of {self.groups:,} groups" if self.groups > 1 else ""
        return f"rows {first}:{last}{of}"


def fusions(rows: Sequence[int]) -> Iterator[Fusion]:
    """Every way to fuse parts of these sizes in this order."""
    for groups in divisors(math.gcd(*rows)) if len(rows) > 1 else (1,):
        yield Fusion(tuple(rows), groups)


def divisors(number: int) -> list[int]:
    """All divisors, in order.

    >>> divisors(12)
    [1, 2, 3, 4, 6, 12]
    """
    low = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    return sorted({*low, *(number // d for d in low)})


@dataclass(frozen=True, slots=True)
class HeadOrder:
    """Rows of `heads` heads, each in halves on one side and in pairs on the other.

    Rotary embeddings turn two rows together: j and j + d/2 in Hugging Face's files, 2j and 2j + 1
    in Meta's and llama.cpp's. `halves` says that the rows asked for are in halves.
    """

    heads: int
    size: int  # rows of a head
    halves: bool

    def row(self, rows: Index) -> Index:
        """The row of the other order that has each row's numbers."""
        head, within = np.divmod(rows, self.size)
        half = self.size // 2
        moved: Index = within % 2 * half + within // 2
        if self.halves:
            moved = within % half * 2 + within // half
        return np.asarray(head * self.size + moved)


def head_orders(rows: int) -> Iterator[HeadOrder]:
    """Every order that permutes these rows in heads of 4 to 512."""
    for size in divisors(rows):
        if 4 <= size <= _MOST_HEAD and size % 2 == 0:
            yield HeadOrder(rows // size, size, halves=True)
            if size > 4:  # of 4 rows, both orders are one
                yield HeadOrder(rows // size, size, halves=False)
