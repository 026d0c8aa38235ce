"""A checkpoint under other names: a prefix stripped, names rewritten, tensors left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from numpy.typing import NDArray

from netdistance.checkpoints.base import BLOCK_ELEMENTS, Checkpoint, TensorSpec
from netdistance.errors import CheckpointError, NothingComparableError, UsageError


@dataclass(frozen=True, slots=True)
class NameRules:
    """What is done to the names of a checkpoint before they are paired.

    The prefix is stripped first, then each `REGEX=REPLACEMENT` rewrites every match, in order. The
    globs see the new names: `only` keeps what any of its globs matches, `skip` leaves out the same.
    """

    strip_prefix: str = ""
    rename: tuple[tuple[re.Pattern[str], str], ...] = ()
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def __call__(self, name: str) -> str | None:
        """The new name, or None for a tensor that is left out."""
        name = name.removeprefix(self.strip_prefix)
        for pattern, replacement in self.rename:
            name = pattern.sub(replacement, name)
        if self.only and not any(fnmatchcase(name, glob) for glob in self.only):
            return None
        return None if any(fnmatchcase(name, glob) for glob in self.skip) else name


def parse_renames(expressions: tuple[str, ...]) -> tuple[tuple[re.Pattern[str], str], ...]:
    r"""Regular expressions and replacements from `REGEX=REPLACEMENT`, split at the last `=`.

    >>> [(pattern.pattern, to) for pattern, to in parse_renames((r"^h\.=layers.",))]
    [('^h\\.', 'layers.')]

    Raises:
        UsageError: no `=`, or no valid regular expression, or a group that it does not have.
    """
    rules = []
    for expression in expressions:
        regex, equals, replacement = expression.rpartition("=")
        try:
            if not equals or not regex:
                raise re.error("there is no '=' after a pattern")
            pattern = re.compile(regex)
            # a template is read when it is used: this finds a reference to a missing group now
            re.compile(f"(?:{regex})|").sub(replacement, "")
        except (re.error, IndexError, RecursionError) as error:
            raise UsageError(
                f"cannot read the renaming {expression!r}: {error}; write REGEX=REPLACEMENT"
            ) from None
        rules.append((pattern, replacement))
    return tuple(rules)


def rules_for_pair(
    strip_prefix: str, rename: tuple[str, ...], only: tuple[str, ...], skip: tuple[str, ...]
) -> tuple[NameRules, NameRules]:
    """The rules for a and for b: renamings are of b's names, everything else is of both.

    Raises:
        UsageError: a renaming cannot be read.
    """
    rules_a = NameRules(strip_prefix, (), only, skip)
    return rules_a, replace(rules_a, rename=parse_renames(rename))


def filtered(checkpoint: Checkpoint, rules: NameRules) -> Checkpoint:
    """The same tensors but those that `only` and `skip` leave out.

    Raises:
        NothingComparableError: no name is left.
    """
    return renamed(checkpoint, NameRules(only=rules.only, skip=rules.skip))


def renamed(checkpoint: Checkpoint, rules: NameRules) -> Checkpoint:
    """The same tensors under new names; the checkpoint itself where no rule says anything.

    Raises:
        CheckpointError: two tensors would get one name.
        NothingComparableError: no name is left.
    """
    return checkpoint if rules == NameRules() else _Renamed(checkpoint, rules)


class _Renamed(Checkpoint):
    def __init__(self, inner: Checkpoint, rules: NameRules) -> None:
        self._inner = inner
        self._old: dict[str, str] = {}
        self.path, self.format, self.notes = inner.path, inner.format, inner.notes
        self.nbytes = inner.nbytes
        specs: dict[str, TensorSpec] = {}
        for name, spec in inner.specs.items():
            new = rules(name)
            if new is None:
                continue
            if new in specs:
                what = f"and {self._old[new]!r} would both be called {new!r}; use other renamings"
                raise CheckpointError(inner.path, what, tensor=name)
            specs[new], self._old[new] = replace(spec, name=new), name
        if inner.specs and not specs:
            raise NothingComparableError(
                f"{inner.path}: --only and --skip leave none of its {len(inner.specs):,} tensors, "
                f"such as {next(iter(inner.specs))!r}; they see names after --rename"
            )
        self.specs = specs
        new_names = {old: new for new, old in self._old.items()}
        # a holder that is left out holds still what is in the same place of it
        self.ties = {
            new_names[name]: replace(
                place, holder=new_names.get(str(place.holder), ("left out", place.holder))
            )
            for name, place in inner.ties.items()
            if name in new_names
        }

    def blocks(
        self, name: str, *, start: int = 0, stop: int | None = None, size: int = BLOCK_ELEMENTS
    ) -> Iterator[NDArray[Any]]:
        return self._inner.blocks(self._old[name], start=start, stop=stop, size=size)

    def tile(
        self, name: str, rows: slice, columns: slice, *, width: int | None = None
    ) -> NDArray[Any]:
        return self._inner.tile(self._old[name], rows, columns, width=width)

    def verify_unchanged(self) -> None:
        self._inner.verify_unchanged()

    def close(self) -> None:
        self._inner.close()
