"""What is suggested when names do not match."""

from __future__ import annotations

import pytest

from netdistance.pairing.suggest import suggest_rule

BARE = [f"layer.{i}.{part}" for i in range(12) for part in ("weight", "bias")]


def under(prefix: str, names: list[str]) -> list[str]:
    return [prefix + name for name in names]


@pytest.mark.parametrize("prefix", ["module.", "model.encoder.", "0."])
def test_a_prefix_on_either_side(prefix: str) -> None:
    expected = f"Try --strip-prefix {prefix!r}, which would match 24 more"
    assert suggest_rule(BARE, under(prefix, BARE)) == expected
    assert suggest_rule(under(prefix, BARE), BARE) == expected


def test_two_prefixes_make_a_renaming() -> None:
    found = suggest_rule(under("transformer.h.", BARE), under("model.layers.", BARE))
    assert found == (r"Try --rename '^model\.layers\.=transformer.h.', which would match 24 more")


def test_some_names_may_differ_all_the_same() -> None:
    found = suggest_rule([*BARE, "extra.a"], [*under("module.", BARE), "other.b"])
    assert found is not None and "24 more" in found


@pytest.mark.parametrize(
    ("only_a", "only_b"), [([], []), (BARE, []), (["a.x", "b.y"], ["c.z", "d.w"])]
)
def test_nothing_is_suggested_for_nothing_alike(only_a: list[str], only_b: list[str]) -> None:
    assert suggest_rule(only_a, only_b) is None


def test_a_few_alike_among_many_suggest_nothing() -> None:
    many = [f"unlike.{i}a" for i in range(40)], [f"different.{i}b" for i in range(40)]
    assert suggest_rule([*BARE[:3], *many[0]], [*under("m.", BARE[:3]), *many[1]]) is None


def test_hostile_lengths_stay_quick() -> None:
    names = [".".join("x" * 50) + f".{i}" for i in range(5000)]
    assert suggest_rule(names, under("m.", names)) is not None
