"""Every scheme that can be simulated: the tuple is the list of what exists."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from netdistance.compression.base import Scheme
from netdistance.compression.removal import LowRank, Pruned
from netdistance.compression.rounded import Rounded, Short
from netdistance.errors import UsageError
from netdistance.grids.floats import BF16, FP16
from netdistance.grids.formats import FP4, FP8, INT4_GROUP, MXFP4, NF4, integers

_BF16_SOURCE = "the upper half of a float32, ties to even"
_FP16_SOURCE = "IEEE 754 binary16, ties to even"
_FP8_SOURCE = "OCP 8-bit floating point specification 1.0; one scale, max / 448"
_INTEGERS_SOURCE = "max / (2^(bits - 1) - 1) of each row or group; compressed-tensors, symmetric"
_NF4_SOURCE = "arXiv 2305.14314, appendix E; blocks of 64 as bitsandbytes cuts them"
_FP4_SOURCE = "bitsandbytes' fp4: e2m1 without a subnormal half; blocks of 64"
_MXFP4_SOURCE = "OCP microscaling specification 1.0, sections 5.3.3 and 6.3"
# the formats of the noise floor that integers have, by their bits and group
_FLOORS = {(8, None): "int8", (4, INT4_GROUP): "int4"}


@dataclass(frozen=True, slots=True)
class Family:
    """Schemes of one kind: the spellings that name one, how it is made of them, and examples."""

    spelling: str
    pattern: str
    make: Callable[[re.Match[str]], Scheme | None]
    examples: tuple[str, ...]


def _integers(found: re.Match[str]) -> Scheme | None:
    width, group = int(found[1]), None if found[2] is None else int(found[2])
    if group == 0:
        return None
    # int4 is what it is everywhere in this program; fewer bits need groups as well
    group = INT4_GROUP if group is None and width <= 4 else group
    name = f"int{width}" + ("" if group is None else f"-g{group}")
    floor = _FLOORS.get((width, group))
    return Rounded(name, integers(width, group), width, _INTEGERS_SOURCE, floor)


def _pruned(found: re.Match[str]) -> Scheme | None:
    return Pruned(float(found[1])) if 0.0 < float(found[1]) < 1.0 else None


def _low_rank(found: re.Match[str]) -> Scheme | None:
    return LowRank(int(found[1])) if int(found[1]) > 0 else None


def _one(scheme: Scheme) -> Family:
    return Family(scheme.name, re.escape(scheme.name), lambda _: scheme, (scheme.name,))


SCHEMES: tuple[Family, ...] = (
    _one(Short("bf16", BF16, _BF16_SOURCE, "bf16")),
    _one(Short("fp16", FP16, _FP16_SOURCE)),
    _one(Rounded("fp8", FP8, 8, _FP8_SOURCE, "fp8")),
    Family(
        "intN or intN-gK, N from 2 to 8",
        r"int([2-8])(?:-g([0-9]{1,9}))?",
        _integers,
        ("int8", "int4-g128", "int4-g32", "int3-g64", "int2-g16", "int6"),
    ),
    _one(Rounded("nf4", NF4, 4, _NF4_SOURCE)),
    _one(Rounded("fp4", FP4, 4, _FP4_SOURCE)),
    _one(Rounded("mxfp4", MXFP4, 4, _MXFP4_SOURCE, scale_bits=8)),
    Family("prune-F, F between 0 and 1", r"prune-(0?\.[0-9]{1,9})", _pruned, ("prune-0.5",)),
    Family("lowrank-R", r"lowrank-([0-9]{1,9})", _low_rank, ("lowrank-4",)),
)


def scheme_of(text: str) -> Scheme:
    """The scheme of that name.

    >>> scheme_of("int4").name, scheme_of("prune-.5").name
    ('int4-g128', 'prune-0.5')

    Raises:
        UsageError: nothing is called so.
    """
    for family in SCHEMES:
        found = re.fullmatch(family.pattern, text)
        scheme = None if found is None else family.make(found)
        if scheme is not None:
            return scheme
    known = ", ".join(family.spelling for family in SCHEMES)
    raise UsageError(f"--simulate {text!r}: no such scheme; there are {known}")


def schemes_of(texts: tuple[str, ...]) -> tuple[Scheme, ...]:
    """The schemes of these names, each once.

    Raises:
        UsageError: one is no scheme, or there is none.
    """
    schemes = {scheme.name: scheme for text in texts for scheme in (scheme_of(text),)}
    if not schemes:
        raise UsageError("--simulate names no scheme; write int8,int4-g128")
    return tuple(schemes.values())
