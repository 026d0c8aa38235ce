"""Conversions: what is left open, what is told, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from netdistance import CompareOptions, compare
from netdistance.checkpoints import open_checkpoint
from netdistance.errors import NothingComparableError
from netdistance.pairing.conversions import Conversions, converted, finding
from netdistance.pairing.conversions.matrices import Shifted, Stored
from netdistance.report.document import Report
from tests.cases.conversions import Arrays, drawn, grouped_query, meta_rows, rotary, rotary_back

DRAW = np.random.default_rng


def conversions_of(a: Arrays, b: Arrays) -> Conversions:
    with open_checkpoint(a) as file_a, open_checkpoint(b) as file_b:
        return converted(file_a, file_b)[1]


def compared(a: Arrays, b: Arrays, **options: object) -> Report:
    return compare(a, b, CompareOptions(conversions=True, **options))


def split(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> tuple[Arrays, Arrays]:
    a = {f"0.{name}_proj.weight": part for name, part in zip("qkv", (q, k, v), strict=True)}
    return a, {"0.qkv.weight": np.concatenate([q, k, v])}


def test_equal_parts_have_no_order() -> None:
    one, other = drawn(DRAW(0), 8, 8), drawn(DRAW(1), 8, 8)
    a, b = split(other, one, one)
    conversions = conversions_of(a, b)
    assert list(conversions.matches) == ["0.q_proj.weight"]
    assert {unclear.name for unclear in conversions.ambiguous} == {
        "0.k_proj.weight",
        "0.v_proj.weight",
    }
    rows = {"rows 8:16 of *.qkv", "rows 16:24 of *.qkv"}
    assert all(rows <= set(unclear.candidates) for unclear in conversions.ambiguous)


def test_a_layer_that_lies_right_among_permuted_ones_stays_as_it_is() -> None:
    a, b = rotary_back(DRAW(0))
    right = [name for name in a if name.split(".")[1] == "1"]
    assert right and any(not np.array_equal(a[name], b[name]) for name in right)
    report = compared(a, b | {name: a[name] for name in right})
    assert report.pairing is not None and report.pairing.identical == report.pairing.compared
    assert {row.relation for row in report.tensors if row.name in right} == {"exact"}
    assert "transformed" in {row.relation for row in report.tensors}


def test_constant_tensors_tell_nothing() -> None:
    a = {"a.norm.weight": np.ones(8), "fc.weight": drawn(DRAW(0), 8, 4)}
    b = {"b.norm.weight": np.ones(8), "fc.weight": a["fc.weight"]}
    (unclear,) = conversions_of(a, b).ambiguous
    assert unclear.name == "a.norm.weight"
    assert "tell nothing" in unclear.candidates[0]


def test_a_symmetric_matrix_under_another_name_may_be_its_transpose() -> None:
    half = drawn(DRAW(0), 16, 16)
    symmetric = half + half.T
    conversions = conversions_of({"a.weight": symmetric}, {"b.weight": symmetric.copy()})
    assert conversions.matches == {}
    assert conversions.ambiguous[0].candidates == ("b", "b, transposed")


def test_two_norms_about_one_are_not_each_other() -> None:
    a, b = ({"x.q_norm.weight": 1 + drawn(DRAW(s), 64) / 8} for s in (0, 1))
    b = {"x.k_norm.weight": b["x.q_norm.weight"]}
    assert conversions_of(a, b) == Conversions()


def test_two_names_for_one_tensor_that_is_no_embedding_are_ambiguous() -> None:
    one = drawn(DRAW(0), 8, 6)
    conversions = conversions_of({"u.weight": one, "v.weight": one.copy()}, {"w.weight": one})
    assert conversions.matches == {}
    assert {unclear.name for unclear in conversions.ambiguous} == {"u.weight", "v.weight"}


def test_a_layer_that_is_broken_is_read_as_the_others_are() -> None:
    a, b = grouped_query(DRAW(0))
    b["layers.1.attn.qkv_proj.weight"] = drawn(DRAW(9), 48, 32)
    report = compared(a, b)
    rows = {row.name: row for row in report.tensors}
    assert rows["layers.1.attn.q_proj.weight"].relation == "transformed"
    assert rows["layers.1.attn.q_proj.weight"].metrics["relative_frobenius"].value > 1.0
    assert rows["layers.2.attn.q_proj.weight"].metrics["relative_frobenius"].value == 0.0


def test_what_is_used_in_part_is_still_told() -> None:
    a, b = grouped_query(DRAW(0))
    left_out = {name: value for name, value in a.items() if "v_proj" not in name}
    report = compared(left_out, b)
    assert "layers.0.attn.qkv_proj.weight" in report.pairing.only_b


def test_plain_pairs_are_exact_and_say_so_only_when_asked() -> None:
    a = {"fc.weight": drawn(DRAW(0), 8, 4)}
    assert compared(a, dict(a)).tensors[0].relation == "exact"
    assert compare(a, dict(a)).tensors[0].relation is None
    assert compare(a, dict(a)).pairing.ambiguous is None


def test_only_and_skip_see_the_names_of_a() -> None:
    a, b = grouped_query(DRAW(0))
    report = compared(a, b, only=("*.q_proj.weight",))
    assert [row.name for row in report.tensors] == [
        f"layers.{layer}.attn.q_proj.weight" for layer in range(3)
    ]
    assert (report.pairing.only_a, report.pairing.only_b) == ((), ())


def test_a_tied_head_counts_once_where_both_tie_it() -> None:
    embedding = drawn(DRAW(0), 40, 8)
    a = {"wte.weight": embedding, "lm_head.weight": embedding}
    report = compared(a, {"tok_embeddings.weight": (embedding * 1.25).astype(np.float32)})
    told = {row.name: (row.transform, row.tied_to) for row in report.tensors}
    assert told["wte.weight"] == ("from tok_embeddings.weight", "lm_head.weight")
    assert told["lm_head.weight"] == ("tied to tok_embeddings.weight", None)


def test_a_copy_of_the_embedding_that_only_b_stores_is_left_out_and_noted() -> None:
    embedding = drawn(DRAW(0), 40, 8)
    a = {"embed_tokens.weight": embedding}
    report = compared(a, {**a, "lm_head.weight": embedding.copy()})
    assert report.pairing.only_b == ()
    notes = report.provenance["files"][1]["notes"]
    assert notes == ["lm_head: a copy of its embedding, left out"]


@pytest.mark.parametrize("heads", [1, 2, 8, 16])
def test_the_number_of_heads_is_found(heads: int) -> None:
    q = drawn(DRAW(0), 128, 8)
    other = meta_rows(q, heads)
    (match,) = conversions_of({"q_proj.weight": q}, {"q_proj.weight": other}).matches.values()
    assert match.transform == f"rotary permutation, {heads} heads stored in pairs"


def test_without_it_the_hint_says_what_would_match() -> None:
    a, b = grouped_query(DRAW(0))
    kept = {"fc.weight": drawn(DRAW(0), 8, 4)}
    assert (
        "Try --conversions, which would match 24 more" in compare(a | kept, b | kept).verdict.text
    )
    halves, pairs = rotary(DRAW(0))
    names = dict(zip(pairs, halves, strict=True))
    permuted = {names[name]: value for name, value in pairs.items()}
    assert "Try --conversions, which would match 6 more" in compare(halves, permuted).verdict.text


def test_numbers_that_are_not_finite_are_no_match_and_no_error() -> None:
    a, b = grouped_query(DRAW(0))
    for value in b.values():
        value[:] = np.nan
    assert conversions_of(a, b) == Conversions()


PEAK = """
import sys
from netdistance import CompareOptions, compare
report = compare(sys.argv[1], sys.argv[2], CompareOptions(conversions=True, threads=1))
relations = {row.relation for row in report.tensors}
assert relations == {"transformed"}, relations
assert all(row.metrics["relative_frobenius"].value == 0.0 for row in report.tensors)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
"""


@pytest.mark.slow
def test_memory_stays_bounded(tmp_path: Path) -> None:
    """Transposed, permuted and fused, 64 MB a tensor; numpy itself takes about 40 MB."""
    draw = DRAW(0)
    q, fc = (draw.standard_normal((4096, 4096), dtype=np.float32) for _ in range(2))
    parts = np.split(draw.standard_normal((4096, 4096), dtype=np.float32), 2)
    a = {"0.q_proj.weight": q, "0.fc.weight": fc}
    a |= {f"0.{name}_proj.weight": part for name, part in zip(("gate", "up"), parts, strict=True)}
    b = {"0.q_proj.weight": meta_rows(q, 32), "0.fc.weight": np.ascontiguousarray(fc.T)}
    b["0.gate_up.weight"] = np.concatenate(parts)
    save_file(a, tmp_path / "a.safetensors")
    save_file(b, tmp_path / "b.safetensors")
    files = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, files)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 100


def many_modules(count: int) -> tuple[Arrays, Arrays]:
    a = {f"m{i}.weight": drawn(DRAW(i), 8, 8) for i in range(count)}
    return a, {name.replace("m", "k"): value for name, value in a.items()}


def test_a_search_without_end_is_cut_short_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = many_modules(12)
    monkeypatch.setattr(finding, "MOST_TRIED", 100)
    with open_checkpoint(a) as file_a, open_checkpoint(b) as file_b:
        view, found = converted(file_a, file_b)
        assert 0 < len(found.matches) < 12
        assert all(np.array_equal(view.read(name), a[name]) for name in found.matches)
        assert f"{12 - len(found.matches)} of 12 modules" in found.notes[0]
    assert any("12 modules" in note for note in compared(a, b).provenance["files"][1]["notes"])


def test_what_is_only_suggested_looks_at_less(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    decide = finding.decide

    def counted(own: Any, target: Any, candidates: Iterable[Any]) -> Any:
        listed = list(candidates)
        tried.extend(candidate.label for candidate in listed)
        return decide(own, target, listed)

    monkeypatch.setattr(finding, "decide", counted)
    a, b = many_modules(60)
    with pytest.raises(NothingComparableError):
        compare(a, b)
    assert 0 < len(tried) <= finding.MOST_SUGGESTED


def test_a_signalling_nan_warns_nobody() -> None:
    """Widening it, or adding to it, raises numpy's flag; the report counts it."""
    odd = np.ones((8, 8), np.float32)
    odd.view(np.uint32)[0, 0] = 0x7F800001
    with pytest.raises(NothingComparableError):
        compared({"x.weight": np.ones((8, 8), np.float32)}, {"y.weight": odd})
    with open_checkpoint({"x": odd}) as file:
        every = np.arange(8)
        taken = Shifted(Stored(file, file.specs["x"], 8), -1.0).take(every, every)
    assert np.isnan(taken).sum() == 1
