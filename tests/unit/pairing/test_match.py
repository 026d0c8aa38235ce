"""Pairing by name: every name of both sides is somewhere, once."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from netdistance.checkpoints.base import TensorSpec
from netdistance.checkpoints.ties import Place
from netdistance.pairing.match import Pairing, natural_key, pair_tensors

Specs = dict[str, TensorSpec]


def specs(**tensors: tuple[str, tuple[int, ...]]) -> Specs:
    return {name: TensorSpec(name, shape, kind, 0) for name, (kind, shape) in tensors.items()}


def accounted(pairing: Pairing) -> list[str]:
    """Every name of a pairing, however often it stands there."""
    pairs = [pair.name for pair in (*pairing.pairs, *pairing.reshaped)]
    return sorted([*pairs, *pairing.only_a, *pairing.only_b])


NAMES = st.text(st.characters(codec="utf-8"), max_size=4)
SPECS = st.dictionaries(
    NAMES, st.tuples(st.sampled_from(["F32", "I64"]), st.sampled_from([(), (2,), (2, 2)]))
).map(
    lambda found: {name: TensorSpec(name, shape, kind, 0) for name, (kind, shape) in found.items()}
)


@given(a=SPECS, b=SPECS)
def test_every_name_is_accounted_for_once(a: Specs, b: Specs) -> None:
    pairing = pair_tensors(a, b)
    assert accounted(pairing) == sorted(a.keys() | b.keys())
    swapped = pair_tensors(b, a)
    assert (swapped.only_a, swapped.only_b) == (pairing.only_b, pairing.only_a)


@given(a=SPECS, b=SPECS, seed=st.randoms())
def test_the_order_of_the_file_decides_nothing(a: Specs, b: Specs, seed: object) -> None:
    def backwards(side: Mapping[str, TensorSpec]) -> Specs:
        return dict(reversed(side.items()))

    assert pair_tensors(backwards(a), backwards(b)) == pair_tensors(a, b)


def test_a_planted_loss_is_found() -> None:
    a = specs(x=("F32", (2,)), y=("F32", (2,)))
    pairing = pair_tensors(a, a)
    less = Pairing(pairing.pairs[1:], (), (), (), ())
    assert accounted(pairing) == ["x", "y"]
    assert accounted(less) != ["x", "y"]


def test_shapes_and_weights_without_a_partner() -> None:
    a = specs(w=("F32", (2, 2)), v=("F32", (2, 3)), b=("F32", (4,)), n=("I64", (1, 1)))
    b = specs(w=("F32", (2, 2)), v=("F32", (3, 2)), c=("BF16", (5, 1)))
    pairing = pair_tensors(a, b)
    assert [pair.name for pair in pairing.pairs] == ["w"]
    assert [pair.name for pair in pairing.reshaped] == ["v"]
    assert (pairing.only_a, pairing.only_b) == (("b", "n"), ("c",))
    assert pairing.lonely_weights == ("c", "v")


def test_codes_are_not_compared_with_values() -> None:
    a = specs(w=("F32", (2,)), i=("I64", (2,)), f=("F16", (2,)), t=("BOOL", (2,)))
    b = specs(w=("I8", (2,)), i=("I32", (2,)), f=("F64", (2,)), t=("U8", (2,)))
    reasons = {pair.name: pair.unreadable for pair in pair_tensors(a, b).pairs}
    assert reasons == {
        "w": "stored as F32 in a and I8 in b: codes are not values",
        "i": None,
        "f": None,
        "t": None,
    }


def test_an_unreadable_side_is_named() -> None:
    a, b = specs(w=("F32", (2,))), {"w": TensorSpec("w", (2,), "qint8", 0, "has no decoder")}
    assert pair_tensors(a, b).pairs[0].unreadable == "in b: has no decoder"
    assert pair_tensors(b, a).pairs[0].unreadable == "in a: has no decoder"


def test_natural_order() -> None:
    names = ["a10", "a2", "a02", "a", "", "10", "9", "b1", "a2.w", "a²", "a" + "9" * 6000]
    ordered = sorted(names, key=natural_key)
    assert ordered.index("a2") < ordered.index("a10") < ordered.index("a" + "9" * 6000)
    assert ordered.index("9") < ordered.index("10")
    assert sorted(reversed(names), key=natural_key) == ordered


@given(st.lists(NAMES | st.from_regex(r"[a-b0-9]{0,6}", fullmatch=True), unique=True))
def test_the_order_is_total(names: list[str]) -> None:
    assert len({natural_key(name) for name in names}) == len(names)
    sorted(names, key=natural_key)


def ties_of(pairing: Pairing) -> dict[str, str]:
    return {pair.name: pair.tied_to for pair in pairing.pairs if pair.tied_to is not None}


def tied(**holders: str) -> dict[str, Place]:
    """Ties of names to holders, whole; `name=holder:part` to a part."""
    found = {}
    for name, text in holders.items():
        holder, _, part = text.partition(":")
        found |= {name: Place(holder, part), holder: Place(holder, "")}
    return found


def test_tied_on_both_sides_is_tied() -> None:
    tensors = specs(embed=("F32", (2, 2)), head=("F32", (2, 2)), own=("F32", (2, 2)))
    both = tied(head="embed")
    assert ties_of(pair_tensors(tensors, tensors, ties_a=both, ties_b=both)) == {"head": "embed"}
    # b's own tensor may have moved elsewhere
    assert ties_of(pair_tensors(tensors, tensors, ties_a=both)) == {}
    assert ties_of(pair_tensors(tensors, tensors, ties_a=both, ties_b=tied(head="own"))) == {}
    # the first name may be another in each
    other = tied(embed="head")
    assert ties_of(pair_tensors(tensors, tensors, ties_a=both, ties_b=other)) == {"head": "embed"}


def test_a_tie_whose_first_name_has_no_partner_leads_to_the_next() -> None:
    tensors = specs(first=("F32", (2, 2)), second=("F32", (2, 2)), third=("F32", (2, 2)))
    ties = tied(second="first", third="first")
    fewer = {name: spec for name, spec in tensors.items() if name != "first"}
    found = pair_tensors(tensors, fewer, ties_a=ties, ties_b=tied(third="second"))
    assert ties_of(found) == {"third": "second"}
    # it is only in a by name: its values are compared under the others'
    assert found.only_a == ("first",)
    assert found.lonely_weights == ()
    assert pair_tensors(tensors, fewer).lonely_weights == ("first",)


def test_parts_of_a_tensor_count_in_it_where_it_is_compared() -> None:
    tensors = specs(qkv=("F32", (6, 2)), q=("F32", (2, 2)), k=("F32", (2, 2)), q2=("F32", (2, 2)))
    parts = tied(q="qkv:0", k="qkv:1", q2="qkv:0")
    found = pair_tensors(tensors, tensors, ties_a=parts, ties_b=parts)
    assert ties_of(found) == {"q": "qkv", "k": "qkv", "q2": "qkv"}
    # parts that are elsewhere in b are not made of the same elements
    elsewhere = tied(q="qkv:1", k="qkv:0", q2="qkv:0")
    assert ties_of(pair_tensors(tensors, tensors, ties_a=parts, ties_b=elsewhere)) == {"q2": "qkv"}
    split = {name: spec for name, spec in tensors.items() if name != "qkv"}
    found = pair_tensors(tensors, split, ties_a=parts, ties_b=tied(q2="q"))
    assert ties_of(found) == {"q2": "q"}
    assert found.lonely_weights == ("qkv",), "its parts do not cover it"
    whole = {name: spec for name, spec in tensors.items() if name == "qkv"}
    assert pair_tensors(tensors, whole, ties_a=parts).lonely_weights == ()
