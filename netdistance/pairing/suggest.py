"""The prefix or renaming that would match names which face nothing."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# names that must come to match, as a fraction of the smaller side, before anything is suggested
_WORTHWHILE = 0.5
# beyond so many names a look at the first tells as much
_MOST_NAMES = 2000


def suggest_rule(only_a: Sequence[str], only_b: Sequence[str]) -> str | None:
    r"""The option that would pair at least half of the smaller side, or None.

    Names that end alike are taken to be the same tensor, and what most of them begin with on either
    side is the difference.

    >>> suggest_rule(["conv.weight", "conv.bias"], ["module.conv.weight", "module.conv.bias"])
    "Try --strip-prefix 'module.', which would match 2 more"
    >>> suggest_rule(["h.0.w", "h.1.w"], ["layers.0.w", "layers.1.w"])
    "Try --rename '^layers\\.=h.', which would match 2 more"
    """
    heads = likeliest_heads(only_a, only_b)
    if heads is None:
        return None
    if not heads.a or not heads.b:
        return (
            f"Try --strip-prefix {(heads.a or heads.b)!r}, which would match {heads.matched:,} more"
        )
    rule = f"^{re.escape(heads.b)}={heads.a}"
    return f"Try --rename '{rule}', which would match {heads.matched:,} more"


@dataclass(frozen=True, slots=True)
class Heads:
    """What the names of a and of b begin with where they end alike, and how many do."""

    a: str
    b: str
    matched: int


def likeliest_heads(only_a: Sequence[str], only_b: Sequence[str]) -> Heads | None:
    """The heads that pair the most names, None where that is under half of the smaller side."""
    tails: dict[str, list[str]] = defaultdict(list)
    for name in only_a[:_MOST_NAMES]:
        for head, tail in _splits(name):
            tails[tail].append(head)
    heads: Counter[tuple[str, str]] = Counter()
    for name in only_b[:_MOST_NAMES]:
        # only the longest tail that some name of a has
        match = next(((head, tail) for head, tail in _splits(name) if tail in tails), None)
        if match is not None:
            heads.update((match[0], head) for head in tails[match[1]])
    if not heads:
        return None
    (head_b, head_a), matched = heads.most_common(1)[0]
    if matched < _WORTHWHILE * min(len(only_a), len(only_b), _MOST_NAMES):
        return None
    return Heads(head_a, head_b, matched)


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """Heads and tails at every dot, the longest tail first: ("", "a.b"), ("a.", "b")."""
    yield "", name
    for dot in re.finditer(r"\.", name):
        yield name[: dot.end()], name[dot.end() :]
